// A server for images of nothing but itself: it tells what it sees of its box.
package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

func try(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func look() map[string]any {
	found := []string{}
	entries, _ := os.ReadDir("/")
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	folder, _ := os.Getwd()
	processes := 0
	inProc, _ := os.ReadDir("/proc")
	for _, entry := range inProc {
		if entry.Name()[0] >= '0' && entry.Name()[0] <= '9' {
			processes++
		}
	}
	text := func(path string) string {
		content, err := os.ReadFile(path)
		if err != nil {
			return err.Error()
		}
		return string(content)
	}
	return map[string]any{
		"root": found, "folder": folder, "uid": os.Getuid(), "args": os.Args[1:], "processes": processes,
		"environment": os.Environ(),
		"gone":        text("/gone"), "shadow": text("/etc/shadow"), "second": text("/second"), "hidden": text("/opaque/hidden"),
		"hosts": text("/etc/hosts"), "capabilities": capabilities(text("/proc/self/status")),
		"writes":   try(os.WriteFile("/written", []byte("x"), 0o644)),
		"replaces": try(os.WriteFile("/etc/shadow", []byte("mine"), 0o644)),
		"removes":  try(os.Remove("/second")),
		"random":   try(os.WriteFile("/dev/null", []byte("x"), 0o644)),
	}
}

func capabilities(status string) string {
	for _, line := range strings.Split(status, "\n") {
		if strings.HasPrefix(line, "CapEff:") {
			return strings.TrimSpace(strings.TrimPrefix(line, "CapEff:"))
		}
	}
	return "?"
}

func fill() string {
	file, err := os.Create("/filled")
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	piece := make([]byte, 1<<20)
	for written := 0; written < 2000; written++ {
		if _, err = file.Write(piece); err != nil {
			os.Remove("/filled")
			return err.Error()
		}
	}
	return ""
}

func main() {
	http.HandleFunc("/invoke", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch string(body) {
		case "look":
			json.NewEncoder(w).Encode(look())
		case "fill":
			io.WriteString(w, fill())
		case "hang":
			time.Sleep(time.Hour)
		case "which":
			io.WriteString(w, os.Getenv("WHICH"))
		default:
			w.Write(body)
		}
	})
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hello from "+r.URL.Path)
	})
	port := os.Getenv("PORT")
	if fixed := os.Getenv("LISTEN"); fixed != "" {
		port = fixed
	}
	http.ListenAndServe("0.0.0.0:"+port, nil)
}
