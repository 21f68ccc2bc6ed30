package asgi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"reflect"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/internal/input"
	"github.com/genropy/genro-asgi-go/internal/typed"
)

// WebSocketMessage is one message, text or binary.
type WebSocketMessage struct {
	Binary bool
	Data   []byte // UTF-8 unless Binary; the receiver's own
}

// smallMessage is the size in bytes up to which the reader's buffer is kept for the next message.
const smallMessage = 1 << 10

// read reads one message, which is valid until the next one unless own is called on it.
func (ws *WebSocket) read(ctx context.Context, op string) (binary bool, data []byte, err error) {
	conn, err := ws.opened(op)
	if err != nil {
		return false, nil, err
	}
	typ, data, err := conn.Read(ctx, ws.scratch[:0])
	if err == nil {
		if cap(data) <= smallMessage {
			ws.scratch = data
		}
		return typ == websocket.MessageBinary, data, nil
	}
	if !isDone(conn) {
		return false, nil, err // the context's
	}
	if isCause(ctx, err) { // the context's, too: ask for the other reason
		_, _, err = conn.Read(context.Background(), nil)
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.closeErr != nil {
		return false, nil, ws.endErrorLocked(op, err)
	}
	if ws.readErr == nil {
		ws.readErr = ws.endErrorLocked(op, err)
	}
	return false, nil, ws.readErr
}

// own makes data of read the caller's.
func own(data []byte) []byte {
	if cap(data) > smallMessage { // read has not kept it
		return data
	}
	return append([]byte{}, data...)
}

// Receive waits for the next message until ctx ends; then the error is the context's cause and the
// connection goes on, at the same message. Other errors tell of the end of the connection, and the
// next call returns the same again: a *WebSocketDisconnect when the peer or the network ended it, a
// *WebSocketError when the peer broke a rule, ErrShutdown when the server did, and one that matches
// ErrWebSocketState when the handler did, or has not accepted yet.
func (ws *WebSocket) Receive(ctx context.Context) (WebSocketMessage, error) {
	binary, data, err := ws.read(ctx, "Receive")
	if err != nil {
		return WebSocketMessage{}, err
	}
	return WebSocketMessage{binary, own(data)}, nil
}

// ReceiveText is Receive for text. A binary message is consumed and gives a *WebSocketError with
// 1003: returned by the handler it closes the connection, otherwise that goes on.
func (ws *WebSocket) ReceiveText(ctx context.Context) (string, error) {
	binary, data, err := ws.read(ctx, "ReceiveText")
	if err == nil && binary {
		err = &WebSocketError{Code: closeUnsupported, Reason: "a text message was expected"}
	}
	if err != nil {
		return "", err
	}
	return string(data), nil
}

// ReceiveBytes is Receive for binary messages, and refuses text as ReceiveText refuses them.
func (ws *WebSocket) ReceiveBytes(ctx context.Context) ([]byte, error) {
	binary, data, err := ws.read(ctx, "ReceiveBytes")
	if err == nil && !binary {
		err = &WebSocketError{Code: closeUnsupported, Reason: "a binary message was expected"}
	}
	if err != nil {
		return nil, err
	}
	return own(data), nil
}

// ReceiveJSON is Receive for a message, text or binary, that is one JSON value, decoded into what v
// points to by the rules of Request.JSON, Limits.Depth and Validate included. What does not fit is
// consumed and gives a *WebSocketError with 1007 whose Reason says what is wrong and whose cause is
// the *HTTPError that Request.JSON would have given: returned by the handler it closes the
// connection, otherwise that goes on. v may be half filled then.
func (ws *WebSocket) ReceiveJSON(ctx context.Context, v any) error {
	_, data, err := ws.read(ctx, "ReceiveJSON")
	if err != nil {
		return err
	}
	if input.NestsDeeper(data, ws.depth) {
		reason := fmt.Sprintf("the message nests more than %d levels deep", ws.depth)
		return messageError(reason, NewHTTPError(http.StatusBadRequest, reason))
	}
	if err := typed.Decode(data, v); err != nil {
		return messageError("the message is not valid JSON", err)
	}
	if err := typed.Validate(typed.Validator(ctx), v); err != nil {
		return messageError("the message is not valid", typed.OfValidation(reflect.TypeOf(v), err))
	}
	return nil
}

func messageError(reason string, cause error) error {
	var fields []FieldError
	if answer, ok := errors.AsType[*HTTPError](cause); ok {
		fields = answer.Fields
	}
	if len(fields) > 0 {
		reason = fitReason(fields[0].Pointer + " " + fields[0].Detail)
	}
	return &WebSocketError{Code: closeInvalid, Reason: reason, Err: cause}
}

// Messages yields the messages that come until the connection ends. The end itself is yielded, once
// and last, as the error of Receive unless it is an ordinary one: this side called Close, or the
// peer closed with 1000, 1001 (a page that was left) or no code. The end of ctx is yielded too, and
// leaves the connection as it is.
func (ws *WebSocket) Messages(ctx context.Context) iter.Seq2[WebSocketMessage, error] {
	return func(yield func(WebSocketMessage, error) bool) {
		for {
			message, err := ws.Receive(ctx)
			if err != nil {
				if !ws.isOrdinaryEnd(err) {
					yield(WebSocketMessage{}, err)
				}
				return
			}
			if !yield(message, nil) {
				return
			}
		}
	}
}

// JSONMessages yields the messages that come, decoded as ReceiveJSON does, until the connection
// ends as with WebSocket.Messages. A message that does not fit is yielded as its error; the
// sequence goes on after it unless the loop is left.
func JSONMessages[T any](ctx context.Context, ws *WebSocket) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			var value T
			err := ws.ReceiveJSON(ctx, &value)
			if err == nil {
				if !yield(value, nil) {
					return
				}
				continue
			}
			if ws.isOrdinaryEnd(err) {
				return
			}
			var none T
			if _, refused := errors.AsType[*HTTPError](err); !yield(none, err) || !refused {
				// else it is the end
				return
			}
		}
	}
}

// isOrdinaryEnd tells whether err is an end that needs no word about it.
func (ws *WebSocket) isOrdinaryEnd(err error) bool {
	if gone, ok := errors.AsType[*WebSocketDisconnect](err); ok {
		return gone.Code == closeNormal || gone.Code == closeGoingAway || gone.Code == closeNoStatus
	}
	return errors.Is(err, ErrWebSocketState) && ws.State() == WebSocketClosed
}

// Send sends a message. It waits for room in the queue of what is to be sent until ctx ends; then
// the error is the context's cause and the connection goes on, without the message. Otherwise it
// does not wait: that it returns nil does not mean that the peer has got it. Other errors tell of
// the end of the connection as those of Receive do; where only the receiver knows why it ended,
// with 1006.
func (ws *WebSocket) Send(ctx context.Context, m WebSocketMessage) error {
	if m.Binary {
		return ws.send(ctx, "Send", websocket.MessageBinary, m.Data)
	}
	return ws.sendText(ctx, "Send", m.Data)
}

// SendText sends text, which must be UTF-8; else nothing is sent. See Send.
func (ws *WebSocket) SendText(ctx context.Context, text string) error {
	return ws.sendText(ctx, "SendText", []byte(text))
}

// SendBytes sends a binary message. See Send.
func (ws *WebSocket) SendBytes(ctx context.Context, data []byte) error {
	return ws.send(ctx, "SendBytes", websocket.MessageBinary, data)
}

// SendJSON sends v as JSON in a text message; where it cannot be encoded nothing is sent. See Send.
func (ws *WebSocket) SendJSON(ctx context.Context, v any) error {
	buf := bodyBuffers.Get().(*bytes.Buffer)
	buf.Reset()
	defer putBuffer(buf)
	if err := typed.MarshalWrite(buf, v); err != nil {
		return fmt.Errorf("asgi: WebSocket.SendJSON: %w", err)
	}
	return ws.send(ctx, "SendJSON", websocket.MessageText, buf.Bytes())
}

var errNotUTF8 = errors.New("the text is not UTF-8")

func (ws *WebSocket) sendText(ctx context.Context, op string, text []byte) error {
	if !utf8.Valid(text) {
		return fmt.Errorf("asgi: WebSocket.%s: %w", op, errNotUTF8)
	}
	return ws.send(ctx, op, websocket.MessageText, text)
}

func (ws *WebSocket) send(ctx context.Context, op string, typ websocket.MessageType,
	data []byte,
) error {
	conn, err := ws.opened(op)
	if err != nil {
		return err
	}
	return ws.failed(ctx, conn, op, conn.Send(ctx, typ, data))
}
