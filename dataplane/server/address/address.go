// Package address finds out a caller's address behind proxies. What it answers is only as good as the declared proxies: a
// header that anybody can send is believed from them alone.
package address

import (
	"net/http"
	"net/netip"
	"strings"
)

// Client is the address that a request came from: the connection's, or, where that is a trusted proxy's, the last one in
// the header that is none. Proxies append, so what stands to the left of that one is the caller's own word. An entry that
// is no address ends the search at the proxy that wrote it. header is empty where no proxy is declared.
func Client(r *http.Request, header string, trusted func(netip.Addr) bool) string {
	at, ok := parse(r.RemoteAddr)
	if !ok {
		return r.RemoteAddr
	}
	if header == "" || !trusted(at) {
		return at.String()
	}
	values := r.Header.Values(header)
	for i := len(values) - 1; i >= 0; i-- {
		for rest, more := values[i], true; more; {
			var entry string
			if cut := strings.LastIndexByte(rest, ','); cut >= 0 {
				rest, entry = rest[:cut], rest[cut+1:]
			} else {
				entry, more = rest, false
			}
			next, ok := parse(strings.TrimSpace(entry))
			if !ok {
				return at.String()
			}
			if at = next; !trusted(at) {
				return at.String()
			}
		}
	}
	return at.String()
}

// parse reads an address, with a port or without, without its zone; one of IPv4 written as IPv6 is the same address.
func parse(s string) (netip.Addr, bool) {
	if with, err := netip.ParseAddrPort(s); err == nil {
		return with.Addr().Unmap().WithZone(""), true
	}
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		s = s[1 : len(s)-1]
	}
	ip, err := netip.ParseAddr(s)
	return ip.Unmap().WithZone(""), err == nil
}
