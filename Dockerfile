# Two stages: Go builds one static binary, and the image holds that binary and the few files it needs. There is no
# "syntax" line on purpose: it would make every build fetch a frontend image first, and nothing here needs one.

FROM golang:1.26-bookworm AS build
WORKDIR /src

# The modules first: this layer is made again only when go.mod or go.sum changes.
COPY go.mod go.sum ./
RUN go mod download

COPY . .
# SQLite is a Go translation here, so no C compiler is needed and the binary runs on an empty image. The cache mount
# keeps compiled packages between builds on the same builder: SQLite alone takes minutes to compile.
RUN --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /out/allo-slack .

# What an empty image lacks:
# - /etc/passwd and /etc/group. Fly's init looks the user up there before it starts anything; it refuses a group that it
#   can't look up, and takes the volume's new owner from them.
# - certificate authorities, for HTTPS to Slack and Allo.
# - /tmp, where SQLite puts what it sorts.
# - /data, where the store lives.
RUN mkdir -p /rootfs/etc/ssl/certs /owned/data \
    && echo "root:x:0:0:root:/:/sbin/nologin" > /rootfs/etc/passwd \
    && echo "allo:x:65532:65532:allo-slack:/data:/sbin/nologin" >> /rootfs/etc/passwd \
    && echo "root:x:0:" > /rootfs/etc/group \
    && echo "allo:x:65532:" >> /rootfs/etc/group \
    && cp /etc/ssl/certs/ca-certificates.crt /rootfs/etc/ssl/certs/ \
    && mkdir -m 1777 /rootfs/tmp \
    && cp /out/allo-slack /rootfs/

FROM scratch
COPY --from=build /rootfs/ /
# /data belongs to the user that the bot runs as: a fresh Docker volume takes over this owner. On Fly, init gives the
# volume's top folder to USER each time it mounts it, so that a new, root-owned volume needs no help.
COPY --from=build --chown=65532:65532 /owned/ /

WORKDIR /app
# A mistake in rules.yaml is found by "check" before a deploy replaces anything (release_command in fly.toml).
COPY rules.yaml .

# Numbers rather than names: orchestrators that refuse root can tell from a number alone.
USER 65532:65532
# The folder of the volume, also when the image runs elsewhere than on Fly; fly.toml says the same.
ENV DATABASE_URL=sqlite:/data/allo-slack.db
# The webhook and the pages. Metrics (9091) stay unlisted: they are for the private network only.
EXPOSE 8080

# The program is the entry point and its command the argument: Fly keeps the ENTRYPOINT for release_command = "check".
ENTRYPOINT ["/allo-slack"]
CMD ["serve"]
