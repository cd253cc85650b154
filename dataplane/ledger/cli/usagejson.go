package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
)

// readJSON reads an array of objects, or the one below "data" of a page of an interface, an object at a time.
func readJSON(from io.Reader, each func(map[string]string) error) error {
	in := json.NewDecoder(from)
	in.UseNumber() // numbers keep their digits
	first, err := in.Token()
	switch {
	case err != nil:
		return err
	case first == json.Delim('['):
		return readList(in, each)
	case first != json.Delim('{'):
		return errors.New("it is neither an array of objects nor an object with one below data")
	}
	found := false
	for in.More() {
		name, err := in.Token()
		if err != nil {
			return err
		}
		if name != "data" {
			var other any
			if err := in.Decode(&other); err != nil {
				return err
			}
			if name == "has_more" && other == true {
				return errors.New("it is one page of several: has_more is true")
			}
			continue
		}
		found = true
		if begin, err := in.Token(); err != nil || begin != json.Delim('[') {
			return errors.Join(errors.New("what is below data is no array"), err)
		}
		if err := readList(in, each); err != nil {
			return err
		}
	}
	if _, err := in.Token(); err != nil || !found {
		return errors.Join(errors.New("it is neither an array of objects nor an object with one below data"), err)
	}
	return nil
}

// readList reads the objects of an array whose beginning was read, and its end.
func readList(in *json.Decoder, each func(map[string]string) error) error {
	for n := 1; in.More(); n++ {
		var o map[string]any
		if err := in.Decode(&o); err != nil {
			return fmt.Errorf("object %d: %w", n, err)
		}
		if err := flat("", o, nil, each); err != nil {
			return err
		}
	}
	_, err := in.Token()
	return err
}

// flat makes rows of an object: what is in another object has both names, with a dot between them, and each of its "results"
// is a row of its own, which has what is beside them, too.
func flat(prefix string, o map[string]any, beside map[string]string, each func(map[string]string) error) error {
	row := maps.Clone(beside)
	if row == nil {
		row = make(map[string]string, len(o))
	}
	gather(prefix, o, row)
	results, split := o["results"].([]any)
	if !split {
		return each(row)
	}
	for _, result := range results {
		if r, ok := result.(map[string]any); ok {
			if err := flat(prefix+"results.", r, row, each); err != nil {
				return err
			}
		}
	}
	return nil
}

func gather(prefix string, o map[string]any, row map[string]string) {
	for name, value := range o {
		name = prefix + strings.ToLower(name)
		switch v := value.(type) {
		case string:
			row[name] = strings.TrimSpace(v)
		case json.Number:
			row[name] = v.String()
		case map[string]any:
			gather(name+".", v, row)
		}
	}
}
