package admit

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/layers-dev/layers/hack/testenv"
)

// process is a redis-server that keeps its folder when it is killed, so that a test can set it back to an older copy.
type process struct {
	t         *testing.T
	bin, dir  string
	port, URL string
	args      []string
	cmd       *exec.Cmd
}

func newProcess(t *testing.T, args ...string) *process {
	t.Helper()
	bin, err := testenv.FindRedis(os.Stderr)
	must(t, err)
	p := &process{t: t, bin: bin, dir: t.TempDir(), port: freePort(t), args: args}
	p.URL = "redis://127.0.0.1:" + p.port
	t.Cleanup(func() {
		if p.cmd != nil {
			p.kill()
		}
	})
	p.start()
	return p
}

// freePort finds a port whose cluster port, 10000 higher, is one too.
func freePort(t *testing.T) string {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		n := l.Addr().(*net.TCPAddr).Port
		must(t, l.Close())
		if n < 55_000 {
			return decimal(n)
		}
	}
}

// start starts the server, with the data that its folder has, and waits until it answers.
func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.bin, append([]string{"--bind", "127.0.0.1", "--port", p.port, "--save", "", "--dir", p.dir}, p.args...)...)
	must(p.t, p.cmd.Start())
	for deadline := time.Now().Add(20 * time.Second); ; {
		if c, err := p.dial(); err == nil {
			err = c.Do(p.t.Context(), c.B().Ping().Build()).Error()
			c.Close()
			if err == nil {
				return
			}
		}
		if time.Now().After(deadline) {
			p.t.Fatal("the server is not up")
		}
	}
}

func (p *process) dial() (rueidis.Client, error) {
	return rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:" + p.port}, ForceSingleClient: true, DisableCache: true})
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may be gone already
	_ = p.cmd.Wait()         // says that it was killed
}

// save writes all data to the folder, as a backup or a slow replica has them.
func (p *process) save() {
	p.t.Helper()
	c, err := p.dial()
	must(p.t, err)
	defer c.Close()
	must(p.t, c.Do(p.t.Context(), c.B().Arbitrary("SAVE").Build()).Error())
}

// setBack kills the server and starts it with what it had at save.
func (p *process) setBack() {
	p.t.Helper()
	p.kill()
	p.start()
}

// lose kills the server and starts it with nothing.
func (p *process) lose() {
	p.t.Helper()
	p.kill()
	must(p.t, os.RemoveAll(filepath.Join(p.dir, "dump.rdb")))
	p.start()
}
