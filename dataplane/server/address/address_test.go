package address

import (
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestClient(t *testing.T) {
	private := func(ip netip.Addr) bool { return ip.IsPrivate() }
	for name, c := range map[string]struct {
		remote  string
		header  string
		values  []string
		trusted func(netip.Addr) bool
		want    string
	}{
		"no proxies declared":       {"203.0.113.9:1", "", []string{"198.51.100.1"}, private, "203.0.113.9"},
		"not from a proxy":          {"203.0.113.9:1", "X-Forwarded-For", []string{"198.51.100.1"}, private, "203.0.113.9"},
		"one proxy":                 {"10.0.0.1:1", "X-Forwarded-For", []string{"198.51.100.1"}, private, "198.51.100.1"},
		"the caller lies":           {"10.0.0.1:1", "X-Forwarded-For", []string{"1.1.1.1, 198.51.100.1"}, private, "198.51.100.1"},
		"two proxies":               {"10.0.0.1:1", "X-Forwarded-For", []string{"1.1.1.1, 198.51.100.1, 10.0.0.2"}, private, "198.51.100.1"},
		"several headers":           {"10.0.0.1:1", "X-Forwarded-For", []string{"1.1.1.1", "198.51.100.1,10.0.0.3", "10.0.0.2"}, private, "198.51.100.1"},
		"all are proxies":           {"10.0.0.1:1", "X-Forwarded-For", []string{"10.0.0.3, 10.0.0.2"}, private, "10.0.0.3"},
		"no header":                 {"10.0.0.1:1", "X-Forwarded-For", nil, private, "10.0.0.1"},
		"an empty header":           {"10.0.0.1:1", "X-Forwarded-For", []string{""}, private, "10.0.0.1"},
		"garbage":                   {"10.0.0.1:1", "X-Forwarded-For", []string{"198.51.100.1, unknown"}, private, "10.0.0.1"},
		"garbage behind a proxy":    {"10.0.0.1:1", "X-Forwarded-For", []string{"198.51.100.1, <script>, 10.0.0.2"}, private, "10.0.0.2"},
		"with a port":               {"10.0.0.1:1", "X-Forwarded-For", []string{"198.51.100.1:4711"}, private, "198.51.100.1"},
		"IPv6":                      {"[fd00::1]:1", "X-Forwarded-For", []string{"2001:db8::1"}, private, "2001:db8::1"},
		"IPv6 with a port":          {"[fd00::1]:1", "X-Forwarded-For", []string{"[2001:db8::1]:80"}, private, "2001:db8::1"},
		"IPv6 in brackets":          {"[fd00::1]:1", "X-Forwarded-For", []string{"[2001:db8::1]"}, private, "2001:db8::1"},
		"IPv4 as IPv6":              {"[::ffff:10.0.0.1]:1", "X-Forwarded-For", []string{"::ffff:198.51.100.1"}, private, "198.51.100.1"},
		"a header of another name":  {"10.0.0.1:1", "X-Real-Ip", []string{"198.51.100.1"}, private, "198.51.100.1"},
		"a connection without port": {"pipe", "X-Forwarded-For", []string{"198.51.100.1"}, private, "pipe"},
		"many":                      {"10.0.0.1:1", "X-Forwarded-For", []string{strings.Repeat("10.0.0.2,", 5000) + "10.0.0.2"}, private, "10.0.0.2"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = c.remote
			for _, v := range c.values {
				r.Header.Add(max(c.header, "X-Forwarded-For"), v)
			}
			if got := Client(r, c.header, c.trusted); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// Whatever stands in the header, the answer is an address, and never one to the left of one that nobody vouches for.
func FuzzClient(f *testing.F) {
	f.Add("1.1.1.1, 198.51.100.1")
	f.Add(",,[::]:,")
	f.Fuzz(func(t *testing.T, value string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "10.0.0.1:1"
		r.Header["X-Forwarded-For"] = []string{value + ",198.51.100.1"}
		if got := Client(r, "X-Forwarded-For", netip.Addr.IsPrivate); got != "198.51.100.1" {
			t.Errorf("%q: %s", value, got)
		}
	})
}
