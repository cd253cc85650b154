package cli

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/layers-dev/layers/dataplane/pricing"
)

// usageLine is a row of a provider's usage export.
type usageLine struct {
	at             time.Time // zero: it has no date
	model, request string
	cost           pricing.Nano
}

// readUsage reads an export by the ending of its name.
func readUsage(from io.Reader, name, by string) ([]usageLine, error) {
	var rows []map[string]string
	var err error
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv":
		rows, err = readCSV(from)
	case ".json":
		rows, err = readJSON(from)
	default:
		err = errors.New("its name ends neither in .csv nor in .json")
	}
	if err != nil {
		return nil, err
	}
	lines := make([]usageLine, len(rows))
	for i, row := range rows {
		if lines[i], err = usageOf(row, by); err != nil {
			return nil, fmt.Errorf("row %d: %w", i+1, err)
		}
	}
	return lines, nil
}

// readCSV reads rows by the names of their columns.
func readCSV(from io.Reader) ([]map[string]string, error) {
	in := csv.NewReader(from)
	header, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("its header: %w", err)
	}
	for i := range header {
		header[i] = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(header[i], "\ufeff")))
	}
	if !slices.Contains(header, "cost_usd") {
		return nil, errors.New("no column cost_usd")
	}
	var rows []map[string]string
	for {
		fields, err := in.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, err
		}
		row := make(map[string]string, len(fields))
		for i, f := range fields {
			row[header[i]] = strings.TrimSpace(f)
		}
		rows = append(rows, row)
	}
}

// readJSON reads an array of objects; numbers keep their digits.
func readJSON(from io.Reader) ([]map[string]string, error) {
	in := json.NewDecoder(from)
	in.UseNumber()
	var objects []map[string]any
	if err := in.Decode(&objects); err != nil {
		return nil, err
	}
	rows := make([]map[string]string, len(objects))
	for i, o := range objects {
		rows[i] = make(map[string]string, len(o))
		for name, value := range o {
			switch v := value.(type) {
			case string:
				rows[i][name] = strings.TrimSpace(v)
			case json.Number:
				rows[i][name] = v.String()
			}
		}
	}
	return rows, nil
}

// usageOf reads the columns of a row that a comparison needs.
func usageOf(row map[string]string, by string) (line usageLine, err error) {
	line.model, line.request = row["model"], row["request_id"]
	if line.cost, err = nanoUSD(row["cost_usd"]); err != nil {
		return line, err
	}
	if date := row["date"]; date != "" {
		if line.at, err = instant(date); err != nil {
			return line, err
		}
	}
	switch {
	case by == byRequest && line.request == "":
		return line, errors.New("no request_id, which --by request needs")
	case by != byRequest && line.at.IsZero():
		return line, fmt.Errorf("no date, which --by %s needs", by)
	case by == byModel && line.model == "":
		return line, errors.New("no model, which --by model needs")
	}
	return line, nil
}

// decimals are numbers that exports and flags have; an exponent is short, because a number is as long as it says.
var decimals = regexp.MustCompile(`^-?[0-9]{1,12}(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,2})?$`)

// decimalOf reads a decimal number exactly.
func decimalOf(text string) (*big.Rat, error) {
	if !decimals.MatchString(text) {
		return nil, fmt.Errorf("%.40q is no decimal number", text)
	}
	r, _ := new(big.Rat).SetString(text) // the expression above is part of what it takes
	return r, nil
}

// nanoUSD reads a number of USD and rounds it to the nearest nano-USD: providers' sums have more places than money.
func nanoUSD(text string) (pricing.Nano, error) {
	r, err := decimalOf(text)
	if err != nil {
		return 0, fmt.Errorf("cost_usd: %w", err)
	}
	r.Mul(r, big.NewRat(1_000_000_000, 1)).Add(r, big.NewRat(1, 2))
	rounded := new(big.Int).Div(r.Num(), r.Denom()) // towards minus infinity, the half added before
	if !rounded.IsInt64() {
		return 0, fmt.Errorf("cost_usd: %s is too large", text)
	}
	return rounded.Int64(), nil
}
