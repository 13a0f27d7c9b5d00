// What a user of the official Go SDK does, against a running node: functions, calls, a version, a task, refusals.
//
// Nothing but endpoint, protocol and credentials differs from a program for the cloud.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	fc "github.com/alibabacloud-go/fc-20230330/v4/client"
	util "github.com/alibabacloud-go/tea-utils/v2/service"
	"github.com/alibabacloud-go/tea/tea"
)

const name = "gosdk-echo"

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func same(found, wanted any) {
	if found != wanted {
		panic(fmt.Sprintf("found %v, wanted %v", found, wanted))
	}
}

func refused(code string, err error) {
	var problem *tea.SDKError
	if !errors.As(err, &problem) {
		panic(fmt.Sprintf("not refused with %s but %v", code, err))
	}
	same(tea.StringValue(problem.Code), code)
}

func invoke(client *fc.Client, body string, headers *fc.InvokeFunctionHeaders) (string, map[string]*string, int32) {
	request := &fc.InvokeFunctionRequest{Body: strings.NewReader(body)}
	answer, err := client.InvokeFunctionWithOptions(tea.String(name), request, headers, &util.RuntimeOptions{})
	check(err)
	content, err := io.ReadAll(answer.Body)
	check(err)
	return string(content), answer.Headers, tea.Int32Value(answer.StatusCode)
}

func main() {
	client, err := fc.NewClient(&openapi.Config{
		AccessKeyId:     tea.String(os.Getenv("ACCESS_KEY_ID")),
		AccessKeySecret: tea.String(os.Getenv("ACCESS_KEY_SECRET")),
		Endpoint:        tea.String(os.Getenv("ENDPOINT")),
		Protocol:        tea.String("http"),
	})
	check(err)
	input := &fc.CreateFunctionInput{
		FunctionName: tea.String(name),
		Runtime:      tea.String("python3.10"),
		Handler:      tea.String("index.handler"),
		Code:         &fc.InputCodeLocation{ZipFile: tea.String(os.Getenv("ECHO_ZIP"))},
	}
	made, err := client.CreateFunction(&fc.CreateFunctionRequest{Body: input})
	check(err)
	same(tea.StringValue(made.Body.FunctionName), name)
	_, err = client.CreateFunction(&fc.CreateFunctionRequest{Body: input})
	refused("FunctionAlreadyExists", err)

	said, headers, status := invoke(client, "hello", &fc.InvokeFunctionHeaders{XFcLogType: tea.String("Tail")})
	same(said, "hello")
	same(status, int32(200))
	if tea.StringValue(headers["x-fc-request-id"]) == "" {
		panic("there is no request id")
	}

	changed, err := client.UpdateFunction(tea.String(name), &fc.UpdateFunctionRequest{
		Body: &fc.UpdateFunctionInput{Timeout: tea.Int32(9), Description: tea.String("from Go")},
	})
	check(err)
	same(tea.Int32Value(changed.Body.Timeout), int32(9))
	got, err := client.GetFunction(tea.String(name), &fc.GetFunctionRequest{})
	check(err)
	same(tea.StringValue(got.Body.Description), "from Go")
	listed, err := client.ListFunctions(&fc.ListFunctionsRequest{Prefix: tea.String("gosdk-")})
	check(err)
	same(len(listed.Body.Functions), 1)

	version, err := client.PublishFunctionVersion(tea.String(name), &fc.PublishFunctionVersionRequest{
		Body: &fc.PublishVersionInput{},
	})
	check(err)
	_, err = client.DeleteFunctionVersion(tea.String(name), version.Body.VersionId)
	check(err)
	task(client)

	_, err = client.DeleteFunction(tea.String(name))
	check(err)
	_, err = client.GetFunction(tea.String(name), &fc.GetFunctionRequest{})
	refused("FunctionNotFound", err)
}

func task(client *fc.Client) {
	_, err := client.PutAsyncInvokeConfig(tea.String(name), &fc.PutAsyncInvokeConfigRequest{
		Body: &fc.PutAsyncInvokeConfigInput{AsyncTask: tea.Bool(true)},
	})
	check(err)
	_, _, status := invoke(client, "later", &fc.InvokeFunctionHeaders{
		XFcInvocationType: tea.String("Async"),
		XFcAsyncTaskId:    tea.String("one"),
	})
	same(status, int32(202))
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		found, err := client.GetAsyncTask(tea.String(name), tea.String("one"), &fc.GetAsyncTaskRequest{})
		check(err)
		if tea.StringValue(found.Body.Status) == "Succeeded" {
			same(tea.StringValue(found.Body.ReturnPayload), "later")
			return
		}
		if time.Now().After(until) {
			panic("the task did not end: " + tea.StringValue(found.Body.Status))
		}
	}
}
