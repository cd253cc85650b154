// Package sdk holds the tests that run OpenAI's own libraries for Node, Python and Go, unmodified, against `layers up`.
//
// The Node and Python libraries are pinned by node/package-lock.json and python/requirements.txt and kept under the user's
// cache folder; node, npm and python3 with pip must be there.
package sdk
