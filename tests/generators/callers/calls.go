// Calls the edge at a URL by the client that openapi-generator made, and prints what came back as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"

	made "github.com/GIT_USER_ID/GIT_REPO_ID"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	configuration := made.NewConfiguration()
	configuration.Servers[0].URL = os.Args[1]
	api := made.NewAPIClient(configuration).EveryAPI
	background := context.Background()
	results := map[string]any{}

	book := made.NewEveryV1ResourceInput("Emma")
	book.SetKind(made.EveryV1Kind{String: made.PtrString("KIND_ONE")})
	book.SetSize(made.Int64Input{String: made.PtrString("5000000000")})
	book.SetWeight(made.Double{Float64: made.PtrFloat64(1.5)})
	created, _, err := api.EveryCreate(background, "novels").EveryV1ResourceInput(*book).ResourceId("emma").
		IdempotencyKey("00000000-0000-0000-0000-000000000001").Execute()
	check(err)
	results["create"] = []any{created.GetTitle(), created.GetKind(), created.GetSize(), created.GetWeight()}

	listed, _, err := api.EveryList(background, "novels").Kinds([]string{"KIND_ONE", "2"}).Kind("KIND_ONE").
		Sizes([]string{"1", "2"}).Flag(true).FilterTitle("x").Execute()
	check(err)
	books := []any{}
	for _, each := range listed.Resources {
		books = append(books, []any{each.GetTitle(), each.GetKind(), each.GetWeight()})
	}
	results["list"] = books

	file, err := os.CreateTemp("", "upload")
	check(err)
	defer os.Remove(file.Name())
	_, err = file.WriteString("raw bytes")
	check(err)
	_, err = file.Seek(0, io.SeekStart)
	check(err)
	answer, _, err := api.EveryUpload(background, "a file").Body(file).Execute()
	check(err)
	defer os.Remove(answer.Name())
	uploaded, err := os.ReadFile(answer.Name())
	check(err)
	results["upload"] = string(uploaded)

	form := made.NewEveryV1FormInput("ada")
	form.SetPassword("secret")
	form.SetNumber(made.Int64Input{String: made.PtrString("7")})
	signed, _, err := api.EverySignIn(background).EveryV1FormInput(*form).Execute()
	check(err)
	results["sign in"] = []any{signed.GetName(), signed.GetPassword(), signed.GetNumber()}

	_, err = api.EveryDelete(background, "novels", "emma").Execute()
	check(err)
	results["delete"] = nil

	_, response, err := api.EveryGet(background, "novels", "none").Execute()
	failed := err.(*made.GenericOpenAPIError).Model().(made.Error)
	results["missing"] = []any{response.StatusCode, failed.Error.Status}

	printed, err := json.Marshal(results)
	check(err)
	fmt.Println(string(printed))
}
