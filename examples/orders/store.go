package main

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

const schema = `
CREATE TABLE IF NOT EXISTS orders (
	id INTEGER PRIMARY KEY AUTOINCREMENT, customer TEXT NOT NULL, state TEXT NOT NULL, items ` +
	`TEXT NOT NULL, note TEXT NOT NULL,
	cents INTEGER NOT NULL, version INTEGER NOT NULL, created INTEGER NOT NULL, reference TEXT ` +
	`UNIQUE
) STRICT;
CREATE INDEX IF NOT EXISTS orders_of_customer ON orders (customer, id);
CREATE TABLE IF NOT EXISTS attachments (
	id INTEGER PRIMARY KEY AUTOINCREMENT, order_id INTEGER NOT NULL REFERENCES orders, name TEXT ` +
	`NOT NULL, type TEXT NOT NULL, content BLOB NOT NULL
) STRICT;`

// store is the database. An owner of "" is nobody's: all orders are in reach.
type store struct{ *sql.DB }

func openStore(path string) (*store, error) {
	pragmas := url.Values{
		"_pragma": {"journal_mode(WAL)", "busy_timeout(5000)", "foreign_keys(1)"},
		"_txlock": {"immediate"},
	}
	db, err := sql.Open("sqlite", "file:"+path+"?"+pragmas.Encode())
	return &store{db}, err
}

// create makes the tables that are not there yet.
func (s *store) create(ctx context.Context) error {
	_, err := s.ExecContext(ctx, schema)
	return err
}

const columns = `id, customer, state, items, note, cents, version, created`

func scan(row interface{ Scan(...any) error }) (o Order, err error) {
	var items []byte
	var created int64
	if err = row.Scan(&o.ID, &o.Customer, &o.State, &items, &o.Note, &o.Cents, &o.Version,
		&created); errors.Is(err, sql.ErrNoRows) {
		return o, errNoOrder
	} else if err != nil {
		return o, err
	}
	o.Created = time.UnixMilli(created).UTC()
	return o, json.Unmarshal(items, &o.Items)
}

// total is what all of the items cost.
func total(items []Item) (cents int64) {
	for _, i := range items {
		cents += int64(i.Quantity) * i.Cents
	}
	return cents
}

// insert adds a new order. One with a reference that is there already is returned as it is, and
// nothing is added.
func (s *store) insert(ctx context.Context, o Order, reference string) (_ Order, added bool,
	err error,
) {
	o.State, o.Version, o.Cents, o.Created = Open, 1, total(o.Items),
		time.Now().UTC().Truncate(time.Millisecond)
	items, err := json.Marshal(o.Items)
	if err != nil {
		return o, false, err
	}
	err = s.QueryRowContext(ctx,
		`INSERT INTO orders (customer, state, items, note, cents, version, created, reference)
		VALUES (?, ?, ?, ?, ?, ?, ?, NULLIF(?, '')) ON CONFLICT (reference) DO NOTHING `+
			`RETURNING id`,
		o.Customer, o.State, string(items), o.Note, o.Cents, o.Version, o.Created.UnixMilli(),
		reference).Scan(&o.ID)
	if errors.Is(err, sql.ErrNoRows) {
		o, err = scan(s.QueryRowContext(ctx, `SELECT `+columns+` FROM orders WHERE reference = ?`,
			reference))
		return o, false, err
	}
	return o, err == nil, err
}

const one = `SELECT ` + columns + ` FROM orders WHERE id = ?1 AND (?2 = '' OR customer = ?2)`

func (s *store) get(ctx context.Context, id int64, owner string) (Order, error) {
	return scan(s.QueryRowContext(ctx, one, id, owner))
}

// list returns orders with an id below after, if that is not 0, newest first.
func (s *store) list(ctx context.Context, owner string, state *OrderState, after int64,
	limit int,
) (orders []Order, err error) {
	rows, err := s.QueryContext(ctx, `SELECT `+columns+` FROM orders
		WHERE (?1 = '' OR customer = ?1) AND (?2 IS NULL OR state = ?2) AND (?3 = 0 OR id < ?3) `+
		`ORDER BY id DESC LIMIT ?4`, owner, state, after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		o, err := scan(rows)
		if err != nil {
			return nil, err
		}
		orders = append(orders, o)
	}
	return orders, rows.Err()
}

// change reads an order, applies f to it and writes it back as its next version, all in one
// transaction.
func (s *store) change(ctx context.Context, id int64, owner string, f func(*Order) error) (o Order,
	err error,
) {
	tx, err := s.BeginTx(ctx, nil)
	if err != nil {
		return o, err
	}
	defer func() { _ = tx.Rollback() }() // it does nothing after the commit
	if o, err = scan(tx.QueryRowContext(ctx, one, id, owner)); err != nil {
		return o, err
	}
	if err := f(&o); err != nil {
		return o, err
	}
	o.Version++
	o.Cents = total(o.Items)
	items, err := json.Marshal(o.Items)
	if err != nil {
		return o, err
	}
	_, err = tx.ExecContext(ctx,
		`UPDATE orders SET state = ?, items = ?, note = ?, cents = ?, version = ? WHERE id = ?`,
		o.State, string(items), o.Note, o.Cents, o.Version, id)
	if err != nil {
		return o, err
	}
	return o, tx.Commit()
}

func (s *store) count(ctx context.Context, owner string, state *OrderState) (n int, err error) {
	err = s.QueryRowContext(ctx,
		`SELECT COUNT(*) FROM orders WHERE (?1 = '' OR customer = ?1) AND (?2 IS NULL OR `+
			`state = ?2)`, owner, state).Scan(&n)
	return n, err
}
