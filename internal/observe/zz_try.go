//go:build ignore

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"sekimori/internal/host"
	"sekimori/internal/observe"
	"sekimori/internal/observe/rootfs"
)

func main() {
	root := flag.String("root", "", "")
	deep := flag.Bool("deep", false, "")
	audit := flag.Bool("audit", true, "")
	flag.Parse()
	o := observe.Options{Audit: *audit, Deep: *deep}
	if *root != "" {
		r, err := os.OpenRoot(*root)
		if err != nil {
			panic(err)
		}
		o.Root = r.FS().(rootfs.Source)
	}
	if f := os.Getenv("CPU"); f != "" {
		w, _ := os.Create(f)
		runtime.SetCPUProfileRate(1000)
		pprof.StartCPUProfile(w)
		defer pprof.StopCPUProfile()
	}
	start := time.Now()
	s, err := observe.Host(context.Background(), o)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stderr, "took", time.Since(start))
	host.Write(os.Stdout, s)
}
