package cli

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/big"
	"path/filepath"
	"regexp"
	"strconv"
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

// What the columns of an export are called, unless --columns says otherwise.
const (
	columnDate    = "date"
	columnUSD     = "cost_usd"
	columnCents   = "cost_cents"
	columnModel   = "model"
	columnRequest = "request_id"
)

// columns are the names that an export has for ours.
type columns map[string]string

// columnsOf checks what --columns says and fills in what it leaves out.
func columnsOf(said map[string]string) (columns, error) {
	names := columns{columnDate: columnDate, columnUSD: columnUSD, columnModel: columnModel, columnRequest: columnRequest}
	for ours, theirs := range said {
		if _, known := names[ours]; !known && ours != columnCents || theirs == "" {
			return nil, fmt.Errorf("--columns: %q is none of date, cost_usd, cost_cents, model and request_id, or stands for nothing", ours)
		}
		names[ours] = strings.ToLower(theirs)
	}
	if names[columnCents] != "" {
		if said[columnUSD] != "" {
			return nil, errors.New("--columns: an export has either cost_usd or cost_cents")
		}
		delete(names, columnUSD)
	}
	return names, nil
}

// cost is the column that says what a row costs, and how many nano-USD one is there.
func (c columns) cost() (name string, unit int64) {
	if cents := c[columnCents]; cents != "" {
		return cents, 10_000_000
	}
	return c[columnUSD], 1_000_000_000
}

// readUsage reads an export by the ending of its name.
func readUsage(from io.Reader, name, by string, names columns) (lines []usageLine, err error) {
	each := func(row map[string]string) error {
		line, err := usageOf(row, by, names)
		if err != nil {
			return fmt.Errorf("row %d: %w", len(lines)+1, err)
		}
		lines = append(lines, line)
		return nil
	}
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv":
		return lines, readCSV(from, each)
	case ".json":
		return lines, readJSON(from, each)
	default:
		return nil, errors.New("its name ends neither in .csv nor in .json")
	}
}

// readCSV reads rows by the names of their columns.
func readCSV(from io.Reader, each func(map[string]string) error) error {
	in := csv.NewReader(from)
	header, err := in.Read()
	if err != nil {
		return fmt.Errorf("its header: %w", err)
	}
	for i := range header {
		header[i] = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(header[i], "\ufeff")))
	}
	row := make(map[string]string, len(header))
	for {
		fields, err := in.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for i, f := range fields {
			row[header[i]] = strings.TrimSpace(f)
		}
		if err := each(row); err != nil {
			return err
		}
	}
}

// usageOf reads the columns of a row that a comparison needs.
func usageOf(row map[string]string, by string, names columns) (line usageLine, err error) {
	line.model, line.request = row[names[columnModel]], row[names[columnRequest]]
	column, unit := names.cost()
	cost, there := row[column]
	if !there {
		return line, fmt.Errorf("no %s (--columns says what it is called)", column)
	}
	if cost != "" { // a day without usage is an empty line in some exports
		if line.cost, err = nanoOf(cost, unit); err != nil {
			return line, fmt.Errorf("%s: %w", column, err)
		}
	}
	if date := row[names[columnDate]]; date != "" {
		if line.at, err = dateOf(date); err != nil {
			return line, err
		}
	}
	switch {
	case by == byRequest && line.request == "":
		return line, errors.New("no request_id, which --by request needs")
	case by != byRequest && line.at.IsZero():
		return line, fmt.Errorf("no date, which --by %s needs", by)
	}
	return line, nil
}

// unix are instants in Unix seconds.
var unix = regexp.MustCompile(`^[0-9]{9,10}$`)

// dateOf reads a day or an instant, as instant does, or Unix seconds.
func dateOf(text string) (time.Time, error) {
	if unix.MatchString(text) {
		seconds, err := strconv.ParseInt(text, 10, 64)
		return time.Unix(seconds, 0).UTC(), err
	}
	return instant(text)
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

// nanoOf reads a number of so many nano-USD each and rounds it to the nearest nano-USD: providers' sums have more places than money.
func nanoOf(text string, unit int64) (pricing.Nano, error) {
	r, err := decimalOf(text)
	if err != nil {
		return 0, err
	}
	r.Mul(r, big.NewRat(unit, 1)).Add(r, big.NewRat(1, 2))
	rounded := new(big.Int).Div(r.Num(), r.Denom()) // towards minus infinity, the half added before
	if !rounded.IsInt64() {
		return 0, fmt.Errorf("%s is too large", text)
	}
	return rounded.Int64(), nil
}
