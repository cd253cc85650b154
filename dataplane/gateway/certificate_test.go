package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"path/filepath"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

// issue writes a new self-signed pair for 127.0.0.1 into dir.
func issue(t *testing.T, dir string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"gateway"},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, certFile), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	write(t, filepath.Join(dir, keyFile), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func serialOf(t *testing.T, c *certificate) int64 {
	t.Helper()
	pair, err := c.get(nil)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf.SerialNumber.Int64()
}

// A certificate is followed as its files change, looked at now and then, and a broken pair changes nothing.
func TestCertificate(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	open := func() (*certificate, error) {
		return newCertificate(dir, slog.New(slog.NewTextHandler(t.Output(), nil)), func() time.Time { return now }, 10*time.Second)
	}
	if _, err := open(); err == nil {
		t.Error("no files are a certificate")
	}
	issue(t, dir, 1)
	c, err := open()
	if err != nil {
		t.Fatal(err)
	}
	issue(t, dir, 2)
	if got := serialOf(t, c); got != 1 {
		t.Errorf("at once: %d", got)
	}
	now = now.Add(10 * time.Second)
	if got := serialOf(t, c); got != 2 {
		t.Errorf("after a look: %d", got)
	}
	write(t, filepath.Join(dir, keyFile), []byte("no key"))
	now = now.Add(10 * time.Second)
	if got := serialOf(t, c); got != 2 {
		t.Errorf("with a broken pair: %d", got)
	}
	issue(t, dir, 3)
	now = now.Add(10 * time.Second)
	if got := serialOf(t, c); got != 3 {
		t.Errorf("repaired: %d", got)
	}
}

// The whole job with --tls-dir speaks TLS, HTTP/2 and HTTP/1.1, and nothing else.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	issue(t, dir, 1)
	publish(t, dir, config(snapshot.Demo, snapshot.DemoProvider, ""))
	b := run(t, Options{SnapshotDir: dir, TLSDir: dir})
	for want, http2 := range map[int]bool{1: false, 2: true} {
		// The certificate is nobody's: what is looked at is the protocol.
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: http2}
		if !http2 {
			transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
		}
		resp, err := (&http.Client{Transport: transport}).Get("https://" + b.API + "/api/v1/chat")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		transport.CloseIdleConnections()
		if resp.StatusCode != http.StatusOK || resp.ProtoMajor != want {
			t.Errorf("HTTP/%d: %d, want HTTP/%d", resp.ProtoMajor, resp.StatusCode, want)
		}
	}
	if status, _ := get(t, "http://"+b.API+"/api/v1/chat", ""); status != http.StatusBadRequest {
		t.Errorf("without TLS: %d", status)
	}
}

// Without a certificate the API is HTTP/1.1 and HTTP/2 by prior knowledge.
func TestCleartextHTTP2(t *testing.T) {
	dir := t.TempDir()
	publish(t, dir, config(snapshot.Demo, snapshot.DemoProvider, ""))
	b := run(t, Options{SnapshotDir: dir})
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("http://" + b.API + "/api/v1/chat")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
		t.Errorf("HTTP/%d: %d", resp.ProtoMajor, resp.StatusCode)
	}
}

func TestMemoryLimit(t *testing.T) {
	sample := []metrics.Sample{{Name: liveHeap}, {Name: "/no/such:metric"}}
	metrics.Read(sample)
	if got := memoryLimit(sample[0].Value); got < memoryFloor {
		t.Errorf("%d", got)
	}
	if got := memoryLimit(sample[1].Value); got != memoryFloor {
		t.Errorf("without the metric: %d", got)
	}
}
