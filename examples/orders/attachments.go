package main

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/problem"
)

var attachmentTypes = []string{"application/pdf", "image/jpeg", "image/png"}

// Attachment is a file that belongs to an order.
type Attachment struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	Type string `json:"type"`
	Size int    `json:"size"`
}

// AttachIn is a form with a file.
type AttachIn struct {
	ByID
	File *asgi.FormFile `form:"file" validate:"required"`
}

// Attached is a new attachment.
type Attached struct {
	_        struct{} `status:"201"`
	Location string   `header:"Location" json:"-"`
	Attachment
}

func (s *shop) attach(ctx context.Context, in AttachIn) (Attached, error) {
	order, err := s.get(ctx, in.ByID)
	if err != nil {
		return Attached{}, err
	}
	a, err := s.keep(ctx, order.ID, in.File)
	return Attached{
		Location:   orderPath(order.ID) + "/attachments/" + strconv.FormatInt(a.ID, 10),
		Attachment: a,
	}, err
}

// keep writes the file into the database. What it is, its first bytes say: what its sender says may
// be anything.
func (s *shop) keep(ctx context.Context, order int64, f *asgi.FormFile) (Attachment, error) {
	file, err := f.Open()
	if err != nil {
		return Attachment{}, err
	}
	defer file.Close()
	content, err := io.ReadAll(file) // as large as the route's limit at most
	if err != nil {
		return Attachment{}, err
	}
	a := Attachment{Name: f.Filename, Type: http.DetectContentType(content), Size: len(content)}
	if !slices.Contains(attachmentTypes, a.Type) {
		return a, problem.New(http.StatusUnsupportedMediaType,
			"An attachment is a PDF, a JPEG or a PNG.")
	}
	return a, s.db.QueryRowContext(ctx,
		`INSERT INTO attachments (order_id, name, type, content) VALUES (?, ?, ?, ?) RETURNING id`,
		order, a.Name, a.Type, content).Scan(&a.ID)
}

type AttachmentOf struct {
	ByID
	Attachment int64 `path:"attachment" json:"attachment"`
}

func (s *shop) attachment(ctx context.Context, in AttachmentOf) (asgi.Response, error) {
	if _, err := s.get(ctx, in.ByID); err != nil {
		return nil, err
	}
	var name, contentType string
	var content []byte
	err := s.db.QueryRowContext(ctx,
		`SELECT name, type, content FROM attachments WHERE id = ? AND order_id = ?`, in.Attachment,
		in.ID).
		Scan(&name, &contentType, &content)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, problem.NotFound("There is no such attachment.")
	}
	return asgi.Bytes(contentType, content).Attachment(name), err
}
