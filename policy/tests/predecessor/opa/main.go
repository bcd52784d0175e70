// Answers questions to a Rego policy by OPA itself.
//
// The argument is the policy's file. Each line of standard input is {"data": …}, which sets the data from there on, or
// {"input": …}, which asks data.intercept.allow. Each question has one line on standard output: true, false, or
// undefined. Whatever goes wrong ends the program with 1.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
)

type line struct {
	Data  map[string]any `json:"data"`
	Input map[string]any `json:"input"`
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: opa POLICY.rego")
	}
	policy, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	if err := answer(os.Args[1], string(policy)); err != nil {
		log.Fatal(err)
	}
}

func answer(name, policy string) error {
	ctx := context.Background()
	lines := json.NewDecoder(bufio.NewReader(os.Stdin))
	answers := bufio.NewWriter(os.Stdout)
	var query *rego.PreparedEvalQuery
	for lines.More() {
		var next line
		if err := lines.Decode(&next); err != nil {
			return err
		}
		if next.Data != nil {
			prepared, err := rego.New(
				rego.Query("data.intercept.allow"),
				rego.Module(name, policy),
				rego.Store(inmem.NewFromObject(next.Data)),
			).PrepareForEval(ctx)
			if err != nil {
				return err
			}
			query = &prepared
			continue
		}
		if query == nil {
			return fmt.Errorf("a question before any data")
		}
		results, err := query.Eval(ctx, rego.EvalInput(next.Input))
		if err != nil {
			return err
		}
		if len(results) == 0 {
			fmt.Fprintln(answers, "undefined")
			continue
		}
		fmt.Fprintln(answers, results[0].Expressions[0].Value)
	}
	return answers.Flush()
}
