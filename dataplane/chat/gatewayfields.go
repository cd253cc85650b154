package chat

// GatewayFields are the top-level fields of a chat completion request that only the gateway reads. An upstream that passes
// the bytes through takes them out.
//
//   - cache: true, "5m" or "1h", the shorthand for breakpoints of the prompt cache where the gateway thinks best.
var GatewayFields = []string{"cache"}
