package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// keepCopy keeps a copy of a database beside it, as its tables are, before they are brought up to date: PATH-v2 of tables of
// version 2. It takes the place of one that is there, as a whole.
func keepCopy(ctx context.Context, db *sql.DB, path string, version int64) error {
	kept := copyOf(path, fmt.Sprint(version))
	half := kept + ".half"
	// It holds what the database does, and is nobody else's to read.
	f, err := os.OpenFile(half, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `VACUUM INTO ?`, half)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(half, kept)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		os.Remove(half)
		return err
	}
	return nil
}

// copyOf is where the copy of a database is kept, of tables of a version; "*" stands for all of them.
func copyOf(path, version string) string { return path + "-v" + version }

// dropCopies deletes copies that were made before a time: they hold what is to be deleted by then.
func dropCopies(path string, before time.Time) error {
	copies, err := filepath.Glob(copyOf(escapeGlob(path), "[0-9]*"))
	if err != nil {
		return err
	}
	for _, kept := range copies {
		info, err := os.Stat(kept)
		if err == nil && info.ModTime().Before(before) {
			err = os.Remove(kept)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// escapeGlob writes a path so that it matches itself alone.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// syncFolder has the names in a folder on disk.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
