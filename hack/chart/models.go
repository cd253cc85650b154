package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// vercel is the provider that the models of the others have as a second backend.
const vercel = "vercel"

// writeModels makes one template of each provider's file in config/models, and one of Vercel AI Gateway's, and removes those
// whose file went.
func writeModels(config, to string) error {
	files, err := filepath.Glob(filepath.Join(config, "models", "*.yaml"))
	if err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(to, "models-*.yaml"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	overlay := filepath.Join(config, "models-"+vercel)
	seconds, err := readSeconds(filepath.Join(overlay, "kustomization.yaml"))
	if err != nil {
		return err
	}
	for _, name := range append(files, filepath.Join(overlay, vercel+".yaml")) {
		provider := strings.TrimSuffix(filepath.Base(name), ".yaml")
		if provider == "kustomization" {
			continue
		}
		convert := func(in []byte) ([]byte, error) { return modelsTemplate(provider, in, seconds) }
		if err := rewrite(name, filepath.Join(to, "models-"+provider+".yaml"), convert); err != nil {
			return err
		}
	}
	return nil
}

// readSeconds answers the second backend of each model, as text in its list, by the name of its object.
func readSeconds(kustomization string) (map[string]string, error) {
	raw, err := os.ReadFile(kustomization)
	if err != nil {
		return nil, err
	}
	var k struct {
		Patches []struct {
			Target struct{ Name string }
			Patch  string
		}
	}
	if err := yaml.Unmarshal(raw, &k); err != nil {
		return nil, fmt.Errorf("%s: %w", kustomization, err)
	}
	out := map[string]string{}
	for _, p := range k.Patches {
		var ops []struct{ Value json.RawMessage }
		if err := json.Unmarshal([]byte(p.Patch), &ops); err != nil || len(ops) != 1 {
			return nil, fmt.Errorf("%s: patch of %s: one operation is expected: %w", kustomization, p.Target.Name, err)
		}
		out[p.Target.Name] = "  - " + string(ops[0].Value) + "\n" // JSON is YAML
	}
	return out, nil
}

// modelsTemplate makes a template of a provider's file: rendered where the values say so, into their namespace, with the Secret
// that they name.
func modelsTemplate(provider string, manifests []byte, seconds map[string]string) ([]byte, error) {
	docs := strings.Split(string(manifests), "---\n")[1:] // comments come first
	var b strings.Builder
	fmt.Fprintf(&b, "%s{{- if and .Values.models.enabled .Values.models.%s.enabled }}\n", marker, provider)
	for i, doc := range docs {
		if i > 0 {
			b.WriteString("---\n")
		}
		out, err := modelsObject(provider, escape(doc), seconds)
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", i+1, err)
		}
		b.WriteString(out)
	}
	b.WriteString("{{- end }}\n")
	return []byte(b.String()), nil
}

// modelsObject makes a template of one object.
func modelsObject(provider, doc string, seconds map[string]string) (string, error) {
	head, rest, ok := strings.Cut(doc, "\nmetadata:\n  name: ")
	name, spec, named := strings.Cut(rest, "\nspec:\n")
	if !ok || !named {
		return "", errors.New("an object has a name and a spec, and nothing between them")
	}
	out := head + "\nmetadata:\n  name: " + name + "\n  namespace: {{ .Values.models.namespace | default .Release.Namespace }}\n" +
		"  labels:\n    {{- include \"layers.modelLabels\" . | nindent 4 }}\nspec:\n"
	if strings.Contains(head, "kind: Provider") {
		spec, err := withSecret(provider, spec)
		return out + spec, err
	}
	out += "  {{- with .Values.models.gatewayRefs }}\n  gatewayRefs:\n    {{- toYaml . | nindent 4 }}\n  {{- end }}\n"
	spec, err := withSecond(spec, seconds[name])
	return out + spec, err
}

// withSecret lets the values say where a Provider's key is.
func withSecret(provider, spec string) (string, error) {
	before, after, ok := strings.Cut(spec, "    secretRef:\n      key: api-key\n      name: "+provider+"\n")
	if !ok {
		return "", errors.New("a Provider's key is in the Secret of its name")
	}
	return before + strings.ReplaceAll("    secretRef:\n      key: {{ .Values.models.PROVIDER.secret.key | quote }}\n"+
		"      name: {{ .Values.models.PROVIDER.secret.name | quote }}\n", "PROVIDER", provider) + after, nil
}

// withSecond puts a backend behind those of a model where the values ask for Vercel AI Gateway; empty: there is none.
func withSecond(spec, second string) (string, error) {
	before, after, ok := strings.Cut(spec, "  backends:\n")
	if !ok {
		return "", errors.New("a Model has backends")
	}
	end := 0
	for line := range strings.Lines(after) {
		if !strings.HasPrefix(line, "  - ") && !strings.HasPrefix(line, "    ") {
			break
		}
		end += len(line)
	}
	if second != "" {
		second = "  {{- if .Values.models." + vercel + ".enabled }}\n" + second + "  {{- end }}\n"
	}
	return before + "  backends:\n" + after[:end] + second + after[end:], nil
}
