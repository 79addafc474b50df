// Classifies objects as Flux and Argo CD do: kstatus by the library of Flux, health by the Lua of Argo CD.
// Reads {"health": "<script>", "objects": […]} and writes one result for each object, in their order. With {"action": "<script>"} the results
// are what this script returns for each object, as Argo CD discovers and runs actions.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type question struct {
	Health  string            `json:"health"`
	Action  string            `json:"action"`
	Objects []json.RawMessage `json:"objects"`
}

type verdict struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

type judgement struct {
	Kstatus verdict `json:"kstatus"`
	Argo    verdict `json:"argo"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		return err
	}
	if asked.Action != "" {
		return act(asked)
	}
	judgements := make([]judgement, 0, len(asked.Objects))
	for _, raw := range asked.Objects {
		// Not encoding/json: it makes every number a float64, which kstatus does not take for a generation.
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(raw); err != nil {
			return err
		}
		computed, err := status.Compute(object)
		if err != nil {
			return err
		}
		argo, err := health(asked.Health, object)
		if err != nil {
			return fmt.Errorf("%s: %w", object.GetName(), err)
		}
		judgements = append(judgements, judgement{
			Kstatus: verdict{Status: computed.Status.String(), Message: computed.Message},
			Argo:    argo,
		})
	}
	return json.NewEncoder(os.Stdout).Encode(judgements)
}

// act writes what the script returns for each object.
func act(asked question) error {
	results := make([]any, 0, len(asked.Objects))
	for _, raw := range asked.Objects {
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(raw); err != nil {
			return err
		}
		state, answer, err := call(asked.Action, object)
		if err != nil {
			return err
		}
		results = append(results, goValue(answer))
		state.Close()
	}
	return json.NewEncoder(os.Stdout).Encode(results)
}

func health(script string, object *unstructured.Unstructured) (verdict, error) {
	// Argo CD has a fixed result for a deleted object, without the script.
	if object.GetDeletionTimestamp() != nil {
		return verdict{Status: "Progressing", Message: "Pending deletion"}, nil
	}
	state, answer, err := call(script, object)
	if err != nil {
		return verdict{}, err
	}
	defer state.Close()
	return verdict{Status: text(answer.RawGetString("status")), Message: text(answer.RawGetString("message"))}, nil
}

// call runs the script with what Argo CD allows it: of the libraries only base and table (strings have no methods), and one second.
func call(script string, object *unstructured.Unstructured) (*lua.LState, *lua.LTable, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			return nil, nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("obj", luaValue(state, object.Object))
	if err := state.DoString(script); err != nil {
		return nil, nil, err
	}
	answer, isTable := state.Get(-1).(*lua.LTable)
	if !isTable {
		return nil, nil, fmt.Errorf("the script returned %s, not a table", state.Get(-1).Type())
	}
	return state, answer, nil
}

func text(value lua.LValue) string {
	if value == lua.LNil {
		return ""
	}
	return value.String()
}

func luaValue(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case string:
		return lua.LString(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case []any:
		list := state.CreateTable(len(value), 0)
		for _, item := range value {
			list.Append(luaValue(state, item))
		}
		return list
	case map[string]any:
		table := state.CreateTable(0, len(value))
		for key, item := range value {
			table.RawSetString(key, luaValue(state, item))
		}
		return table
	default:
		return lua.LNil
	}
}

func goValue(value lua.LValue) any {
	switch value := value.(type) {
	case lua.LBool:
		return bool(value)
	case lua.LString:
		return string(value)
	case lua.LNumber:
		return float64(value)
	case *lua.LTable:
		if length := value.Len(); length > 0 {
			list := make([]any, 0, length)
			for at := 1; at <= length; at++ {
				list = append(list, goValue(value.RawGetInt(at)))
			}
			return list
		}
		object := map[string]any{}
		value.ForEach(func(key, item lua.LValue) { object[key.String()] = goValue(item) })
		return object
	default:
		return nil
	}
}
