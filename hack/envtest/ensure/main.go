// Command ensure prints the folder with etcd, kube-apiserver and kubectl, getting or building them first if need be.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/layers-dev/layers/hack/envtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := envtest.Assets(ctx, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "envtest:", err)
		os.Exit(1)
	}
	fmt.Println(dir)
}
