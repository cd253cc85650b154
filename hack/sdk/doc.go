// Package sdk holds the tests that run the providers' own libraries, unmodified, against `layers up`: OpenAI's and
// Anthropic's for Node, Python and Go, and Vercel's AI SDK with its OpenAI-compatible, OpenAI and Anthropic providers. Each
// speaks with a model at each maker's API, which the mock provider plays.
//
// The Node and Python libraries are pinned by node/package-lock.json and python/requirements.txt and kept under the user's
// cache folder; node, npm and python3 with pip must be there. Where the machine's Node is older than the libraries want,
// they run in one that is installed with them.
package sdk
