package sqldb

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrTaken says that a row's key was there already.
var ErrTaken = errors.New("the key is there already")

// binaryHeader begins a COPY in the binary format: its signature, no flags, no extension.
const binaryHeader = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// Copy writes rows with COPY, which takes about half the time of INSERT: no parameters to read, and pages are filled many rows
// at a time. Columns must be TEXT, BIGINT and BOOLEAN, in the schema after this build's, too.
func (t pgTx) Copy(ctx context.Context, table, columns string, rows [][]any) error {
	data, err := binaryRows(rows)
	if err != nil {
		return err
	}
	_, err = t.tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(data), "COPY "+table+" ("+columns+") FROM STDIN (FORMAT binary)")
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "23505" { // unique_violation
		return fmt.Errorf("%w: %w", ErrTaken, err)
	}
	return pgError(err)
}

// binaryRows are rows as COPY takes them.
func binaryRows(rows [][]any) ([]byte, error) {
	b := append(make([]byte, 0, len(rows)*256), binaryHeader...)
	for _, r := range rows {
		b = binary.BigEndian.AppendUint16(b, uint16(len(r)))
		for _, value := range r {
			switch v := value.(type) {
			case nil:
				b = append(b, 0xff, 0xff, 0xff, 0xff)
			case string:
				b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
			case int64:
				b = binary.BigEndian.AppendUint64(append(b, 0, 0, 0, 8), uint64(v))
			case int:
				b = binary.BigEndian.AppendUint64(append(b, 0, 0, 0, 8), uint64(v))
			case bool:
				b = append(b, 0, 0, 0, 1, 0)
				if v {
					b[len(b)-1] = 1
				}
			default:
				return nil, fmt.Errorf("copying a %T", value)
			}
		}
	}
	return append(b, 0xff, 0xff), nil
}

// What SQLite calls a key that is there already: SQLITE_CONSTRAINT_PRIMARYKEY and SQLITE_CONSTRAINT_UNIQUE.
const (
	sqlitePrimaryKey = 1555
	sqliteUnique     = 2067
)

// Copy is INSERT, some rows at a time.
func (t sqliteTx) Copy(ctx context.Context, table, columns string, rows [][]any) error {
	for part := range slices.Chunk(rows, t.Batch()) {
		source, args := t.Values(part, 1)
		_, err := t.Exec(ctx, "INSERT INTO "+table+" ("+columns+") SELECT * FROM "+source, args...)
		var coded interface{ Code() int }
		if errors.As(err, &coded) && (coded.Code() == sqlitePrimaryKey || coded.Code() == sqliteUnique) {
			return fmt.Errorf("%w: %w", ErrTaken, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
