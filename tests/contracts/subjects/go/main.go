// The subject of `testing.checks.runtime` for go1, built with the official SDK.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/aliyun/fc-runtime-go-sdk/fc"
	"github.com/aliyun/fc-runtime-go-sdk/fccontext"
)

type told struct {
	Do   string `json:"do"`
	Text string `json:"text"`
	Name string `json:"name"`
	Code int    `json:"code"`
}

var (
	state   = "new"
	meeting = make(chan string)
)

func initialize(ctx context.Context) {
	if os.Getenv("INIT_FAILS") != "" {
		panic("not today")
	}
	state = "initialized"
}

func preStop(ctx context.Context) {
	fmt.Println("pre-stop ran")
}

func handle(ctx context.Context, event []byte) (string, error) {
	if len(event) == 0 || event[0] != '{' {
		return string(event), nil
	}
	var asked told
	if err := json.Unmarshal(event, &asked); err != nil {
		return "", err
	}
	switch asked.Do {
	case "fail":
		return "", errors.New("on purpose")
	case "print":
		fmt.Println(asked.Text)
		return "printed", nil
	case "env":
		return os.Getenv(asked.Name), nil
	case "context":
		return describe(ctx)
	case "state":
		return state, nil
	case "exit":
		os.Exit(asked.Code)
	case "hang":
		select {}
	case "meet":
		select {
		case meeting <- "met":
			return "met", nil
		case met := <-meeting:
			return met, nil
		}
	}
	return "", fmt.Errorf("nothing is known about %q", asked.Do)
}

func describe(ctx context.Context) (string, error) {
	about, _ := fccontext.FromContext(ctx)
	text, err := json.Marshal(map[string]interface{}{
		"requestId":  about.RequestID,
		"function":   about.Function.Name,
		"region":     about.Region,
		"retryCount": about.RetryCount,
	})
	return string(text), err
}

func main() {
	fc.RegisterInitializerFunction(initialize)
	fc.RegisterPreStopFunction(preStop)
	fc.Start(handle)
}
