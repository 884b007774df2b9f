package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"allo-slack/outbox"
	"allo-slack/tests/process"
)

// disk is a file system of the test's own.
type disk struct {
	t   *testing.T
	dir string
}

// newDisk mounts a disk of some MB. Who may not mount runs the test once more where he may, in a user namespace, and gets
// nil. Where that can't be had either the test is skipped, but in CI.
func newDisk(t *testing.T, megabytes int) *disk {
	t.Helper()
	const inside = "ALLO_SLACK_TEST_MAY_MOUNT"
	dir := t.TempDir()
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", megabytes))
	if err == nil {
		t.Cleanup(func() {
			if err := unix.Unmount(dir, 0); err != nil {
				t.Errorf("unmounting %s: %v", dir, err)
			}
		})
		return &disk{t, dir}
	}
	cannot := t.Skipf
	if os.Getenv("CI") == "true" {
		cannot = t.Fatalf
	}
	if os.Getenv(inside) != "" || exec.Command("unshare", "-rm", "true").Run() != nil {
		cannot("no disk can be mounted, neither as this user nor in a user namespace: %v", err)
	}
	again := exec.Command("unshare", "-rm", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	again.Env = append(os.Environ(), inside+"=1")
	out, err := again.CombinedOutput()
	if err != nil {
		t.Fatalf("in a user namespace: %v\n%s", err, out)
	}
	t.Logf("in a user namespace:\n%s", out)
	return nil
}

func (d *disk) path(name string) string { return filepath.Join(d.dir, name) }

// fill takes all room but so many bytes.
func (d *disk) fill(but int64) {
	d.t.Helper()
	f, err := os.Create(d.path("filler"))
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for {
		if _, err := f.Write(block); errors.Is(err, unix.ENOSPC) {
			break
		} else if err != nil {
			d.t.Fatal(err)
		}
	}
	info, err := f.Stat()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := f.Truncate(info.Size() - but); err != nil {
		d.t.Fatal(err)
	}
}

// free gives the room back.
func (d *disk) free() {
	d.t.Helper()
	if err := os.Remove(d.path("filler")); err != nil {
		d.t.Fatal(err)
	}
}

// delivered puts a store on the disk that holds so many calls, delivered at a time. A crashed one is as a power cut
// leaves it, with its log; one that was closed is a single file.
func (d *disk) delivered(n int, at time.Time, crashed bool) {
	d.t.Helper()
	ctx := d.t.Context()
	path := filepath.Join(d.t.TempDir(), "test.db")
	store, err := outbox.Open(ctx, "sqlite:"+path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer store.Close()
	var routings []outbox.Routing
	for i := range n {
		id, _, err := store.Append(ctx, outbox.Entry{Kind: outbox.Allo, Topic: "CALL_RECEIVED", Received: at, Key: outbox.Key{Key: fmt.Sprint("old ", i)},
			Body: []byte(strings.Replace(call(10_000+i, "a"), `"data":{`, `"data":{"summary":"`+strings.Repeat("word ", 300)+`",`, 1))})
		if err != nil {
			d.t.Fatal(err)
		}
		routings = append(routings, outbox.Routing{Event: id, Fate: outbox.Routed, Decisions: []outbox.Decision{
			{Event: id, Routes: []outbox.Route{{Channel: "C1", Rule: "a", Options: "{}"}}},
		}})
	}
	if _, err := store.Route(ctx, at, nil, routings...); err != nil {
		d.t.Fatal(err)
	}
	for {
		waiting, err := store.Waiting(ctx, "C1", at, 50, 1<<20)
		if err != nil {
			d.t.Fatal(err)
		}
		if len(waiting) == 0 {
			break
		}
		p, err := store.Begin(ctx, "C1", outbox.Digest, waiting, outbox.Tick{At: at})
		if err == nil {
			err = store.Settle(ctx, p, outbox.Transition{Fate: outbox.Sent, Shown: outbox.Shown{TS: "1.0"}}, outbox.Tick{At: at})
		}
		if err != nil {
			d.t.Fatal(err)
		}
	}
	files := []string{"", "-wal", "-shm"}
	if !crashed {
		if err := store.Close(); err != nil {
			d.t.Fatal(err)
		}
		files = files[:1]
	}
	for _, suffix := range files {
		content, err := os.ReadFile(path + suffix)
		if err == nil {
			err = os.WriteFile(d.path("test.db"+suffix), content, 0o600)
		}
		if err != nil {
			d.t.Fatal(err)
		}
	}
}

// open opens the store on the disk until the test's end.
func (d *disk) open(t *testing.T) *outbox.Store {
	t.Helper()
	store, err := outbox.Open(t.Context(), "sqlite:"+d.path("test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// empty removes what is on the disk.
func (d *disk) empty() {
	d.t.Helper()
	files, err := filepath.Glob(d.path("*"))
	if err != nil {
		d.t.Fatal(err)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			d.t.Fatal(err)
		}
	}
}

var old = time.Now().Add(-48 * time.Hour)

func TestPurgeMakesRoomOnAFullDisk(t *testing.T) {
	d := newDisk(t, 32)
	if d == nil {
		return
	}
	add := func(store *outbox.Store, key string, bytes int) error {
		_, _, err := store.Append(t.Context(), outbox.Entry{Kind: outbox.Allo, Topic: "CALL_RECEIVED", Received: time.Now(), Key: outbox.Key{Key: key}, Body: make([]byte, bytes)})
		return err
	}
	refused := func(t *testing.T, err error) {
		t.Helper()
		if !errors.Is(err, outbox.ErrUnavailable) || !strings.Contains(err.Error(), "the disk is full") {
			t.Fatalf("err = %v, want a full disk", err)
		}
	}
	purged := func(t *testing.T, store *outbox.Store) {
		t.Helper()
		if n, err := store.Purge(t.Context(), time.Now().Add(-time.Hour)); n != 1200 || err != nil {
			t.Fatalf("purged %d, %v; want 1200", n, err)
		}
		if err := add(store, "after", 1<<20); err != nil {
			t.Errorf("after the purge: %v", err)
		}
	}
	for name, c := range map[string]struct {
		crashed bool
		left    int64
		large   int // bytes for which there is no room
	}{
		"closed, 320 KB left":   {false, 320 << 10, 1 << 20},
		"crashed, nothing left": {true, 0, 9 << 20}, // the log has room, and is begun anew
	} {
		t.Run(name, func(t *testing.T) {
			d.empty()
			d.delivered(1200, old, c.crashed)
			d.fill(c.left)
			store := d.open(t)
			if err := store.Full(); err != nil {
				t.Errorf("full at the start: %v; want room for something small", err)
			}
			refused(t, add(store, "large", c.large))
			purged(t, store)
		})
	}
	t.Run("closed, nothing left but the reserve", func(t *testing.T) {
		d.empty()
		d.delivered(1200, old, false)
		d.open(t).Close() // which lays the reserve in
		d.fill(0)
		store := d.open(t)
		if store.Full() == nil {
			t.Error("not full at the start")
		}
		purged(t, store)
		if reserve, err := os.Stat(d.path("test.db-reserve")); err != nil || reserve.Size() != 1<<20 {
			t.Errorf("no reserve for the next time: %v", err)
		}
	})
	t.Run("open, and what the log holds has no place in the database", func(t *testing.T) {
		d.empty()
		d.delivered(1200, old, false)
		store := d.open(t)
		d.fill(300 << 10)
		var err error
		for i := 0; err == nil; i++ {
			err = add(store, fmt.Sprint("small ", i), 6000)
		}
		refused(t, err)
		purged(t, store)
	})
}

func TestAStoreThatIsFullIsOpened(t *testing.T) {
	d := newDisk(t, 32)
	if d == nil {
		return
	}
	d.delivered(100, old, false)
	d.fill(36 << 10) // a reader needs 32 KB
	store := d.open(t)
	if err := store.Full(); !errors.Is(err, outbox.ErrUnavailable) || !strings.Contains(err.Error(), "test.db can't be written") || !strings.Contains(err.Error(), "the disk is full; make room or extend the volume") {
		t.Errorf("full: %v", err)
	}
	d.free()
	if err := store.Check(t.Context()); err != nil {
		t.Error(err)
	}
	store.Close()

	d.fill(0)
	store, err := outbox.Open(t.Context(), "sqlite:"+d.path("test.db"))
	if err == nil {
		store.Close()
	}
	if !errors.Is(err, outbox.ErrUnavailable) || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("without room to read: %v; want to be told that the disk is full", err)
	}
}

func TestAStartOnAFullDisk(t *testing.T) {
	d := newDisk(t, 32)
	if d == nil {
		return
	}
	r := newRig(t, byTag, "a", "b", "c")
	r.env = append(r.env, "DATABASE_URL=sqlite:"+d.path("test.db"), "RETENTION=1h")
	health := func(b *process.Bot) int {
		t.Helper()
		public, _ := b.URL()
		resp, err := http.Get(public + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}

	// Nothing is old enough to be deleted: it starts, and says 503 until there is room.
	d.delivered(100, time.Now(), false)
	d.fill(36 << 10) // which a reader needs
	b := r.start()
	if got, _, err := b.Post(t.Context(), call(1, "a")); got != http.StatusServiceUnavailable || err != nil {
		t.Errorf("the webhook answers %d, %v; want 503", got, err)
	}
	if got := health(b); got != http.StatusServiceUnavailable {
		t.Errorf("/healthz answers %d, want 503", got)
	}
	d.free()
	r.post(b, call(1, "a"))
	if got := health(b); got != http.StatusOK {
		t.Errorf("/healthz answers %d with room, want 200", got)
	}
	r.wait("a", 1)
	b.Kill()

	// All is old enough: the purge at the start makes the room.
	d.empty()
	d.delivered(1200, old, false)
	d.open(t).Close() // which lays the reserve in
	d.fill(0)
	b = r.start()
	large := strings.Replace(call(2, "a"), `"data":{`, `"data":{"summary":"`+strings.Repeat("word ", 200_000)+`",`, 1)
	for begun, got := time.Now(), 0; got != http.StatusOK; {
		var err error
		if got, _, err = b.Post(t.Context(), large); err != nil || time.Since(begun) > 30*time.Second {
			t.Fatalf("the webhook answers %d, %v; want 200 after the purge\n%s", got, err, b.Log())
		}
	}
	if got := health(b); got != http.StatusOK {
		t.Errorf("/healthz answers %d after the purge, want 200", got)
	}
	if !strings.Contains(b.Log(), "old events deleted") {
		t.Errorf("nothing was deleted:\n%s", b.Log())
	}
	r.wait("a", 2)
}
