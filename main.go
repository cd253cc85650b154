// Command layers is the AI gateway for Kubernetes: operator, data plane and tools in one binary.
package main

func main() {}
