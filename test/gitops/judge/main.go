// Classifies objects as Flux and Argo CD do: kstatus by the library of Flux, health by the Lua of Argo CD.
// Reads {"health": "<script>", "objects": […]} and writes one result for each object, in their order.
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

// health runs the script with what Argo CD allows it: of the libraries only base and table (strings have no methods), and one second.
func health(script string, object *unstructured.Unstructured) (verdict, error) {
	// Argo CD has a fixed result for a deleted object, without the script.
	if object.GetDeletionTimestamp() != nil {
		return verdict{Status: "Progressing", Message: "Pending deletion"}, nil
	}
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			return verdict{}, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("obj", luaValue(state, object.Object))
	if err := state.DoString(script); err != nil {
		return verdict{}, err
	}
	answer, isTable := state.Get(-1).(*lua.LTable)
	if !isTable {
		return verdict{}, fmt.Errorf("the script returned %s, not a table", state.Get(-1).Type())
	}
	return verdict{Status: text(answer.RawGetString("status")), Message: text(answer.RawGetString("message"))}, nil
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
