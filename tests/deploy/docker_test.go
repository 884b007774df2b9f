package deploy

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// instructions returns the Dockerfile's instructions, one a line, without comments. BuildKit's own linter runs on it in
// tests/dockerlint.
func instructions(t *testing.T) []string {
	t.Helper()
	text := strings.ReplaceAll(read(t, "Dockerfile"), "\\\n", " ")
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.Join(strings.Fields(line), " ")
		if line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestDockerfile(t *testing.T) {
	directive := regexp.MustCompile(`(?im)^#\s*(syntax|check|escape)\s*=`)
	if line := directive.FindString(read(t, "Dockerfile")); line != "" {
		t.Errorf("the Dockerfile begins with %q: it makes a build fetch a frontend, or switches its checks off", line)
	}

	lines := instructions(t)
	last := 0 // where the image's own stage begins
	for i, line := range lines {
		if strings.HasPrefix(line, "FROM ") {
			last = i
		}
	}
	image := lines[last:]
	build := strings.Join(lines[:last], "\n")

	if image[0] != "FROM scratch" {
		t.Errorf("the image is made %s, want FROM scratch", image[0])
	}
	for _, want := range []string{
		"COPY rules.yaml .",
		"USER 65532:65532",
		"EXPOSE 8080",
		`ENTRYPOINT ["/allo-slack"]`, // Fly keeps it for release_command
		`CMD ["serve"]`,
		"ENV DATABASE_URL=sqlite:/data/allo-slack.db",
		"COPY --from=build --chown=65532:65532 /owned/ /",
	} {
		if !slices.Contains(image, want) {
			t.Errorf("the image lacks %q", want)
		}
	}
	for _, want := range []string{"CGO_ENABLED=0", "-trimpath", "ca-certificates.crt", "/rootfs/etc/passwd", "/rootfs/etc/group", "1777 /rootfs/tmp", "/owned/data"} {
		if !strings.Contains(build, want) {
			t.Errorf("the build lacks %q", want)
		}
	}

	modules := strings.Index(build, "COPY go.mod go.sum")
	download := strings.Index(build, "go mod download")
	sources := strings.Index(build, "COPY . .")
	if modules < 0 || modules > download || download > sources {
		t.Error("want go.mod and go.sum, then the download, then the sources: otherwise every change fetches all modules again")
	}
}

// TestDockerfileHasTheGoOfGoMod: the image's Go has to be the one that go.mod asks for, as it fetches no other.
func TestDockerfileHasTheGoOfGoMod(t *testing.T) {
	inImage := regexp.MustCompile(`(?m)^FROM golang:(\d+\.\d+)-bookworm AS build$`).FindStringSubmatch(read(t, "Dockerfile"))
	inModule := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))
	if inImage == nil || inModule == nil || inImage[1] != inModule[1] {
		t.Errorf("Dockerfile: %q, go.mod: %q, want the same version of Go", inImage, inModule)
	}
}
