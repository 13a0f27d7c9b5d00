// The smallest function that uses what it is given, with the official Go SDK.
package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/aliyun/fc-runtime-go-sdk/fc"
)

// greet is called once per request; what it returns is answered as JSON.
func greet(ctx context.Context, event []byte) (string, error) {
	name := strings.TrimSpace(string(event))
	if name == "" {
		name = "world"
	}
	fmt.Println("greeting", name)
	return "Hello, " + name + "!", nil
}

func main() {
	fc.Start(greet)
}
