package filestore

import (
	"context"
	"encoding/binary"
	"os"

	"github.com/genropy/genro-asgi-go/tasks"
)

// snapshotPage is how many tasks of a snapshot are read at once.
const snapshotPage = 1000

// writeTasks writes all tasks, and what else the store knows of them.
func (j *journal) writeTasks(ctx context.Context, w *snapshotWriter) error {
	f := tasks.Filter{Limit: snapshotPage}
	for {
		page, next, err := j.mem.List(ctx, &f)
		if err != nil {
			return err
		}
		for _, t := range page {
			if err := w.task(opChange, t); err != nil {
				return err
			}
		}
		if f.Cursor = next; next == "" {
			break
		}
	}
	// After the tasks: one that was deleted before its page was read is among the holders now.
	for _, t := range j.keyHoldersNow() {
		if err := w.task(opKeyHolder, t); err != nil {
			return err
		}
	}
	j.mu.Lock()
	reserved, lastSeq := j.log.reserved, j.lastSeq
	j.mu.Unlock()
	w.record(reserveRecord(reserved + fenceRange)) // one range may be under way
	w.record(binary.AppendUvarint([]byte{opSeq}, lastSeq))
	return nil
}

// snapshotWriter writes a snapshot: frames of records, which are numbered from 1, like a log's.
type snapshotWriter struct {
	f       *os.File
	b       []byte // the frame that is being filled
	records uint64
	frames  uint64
	size    int64
}

// snapshotFrame is about how large a frame of a snapshot is.
const snapshotFrame = 256 << 10

func (w *snapshotWriter) record(r []byte) {
	w.begin()
	w.b = append(w.b, r...)
	w.records++
}

// begin leaves room for the head of a frame.
func (w *snapshotWriter) begin() {
	if len(w.b) == 0 {
		w.b = append(w.b, make([]byte, headSize)...)
	}
}

func (w *snapshotWriter) task(op byte, t *tasks.Task) error {
	w.begin()
	w.b = appendChange(w.b, op, t, diff(&blank, t))
	w.records++
	if len(w.b) < snapshotFrame {
		return nil
	}
	return w.flush()
}

// finish writes the last record. The log that goes with the snapshot begins at a point; it had a
// frame of the number upTo when the snapshot was whole.
func (w *snapshotWriter) finish(from point, upTo uint64) error {
	w.begin()
	w.b = binary.AppendUvarint(append(w.b, opEnd), w.records)
	w.b = binary.AppendUvarint(w.b, from.frame)
	w.b = binary.AppendUvarint(w.b, uint64(from.at))
	w.b = binary.AppendUvarint(w.b, upTo)
	return w.flush()
}

// flush writes a frame.
func (w *snapshotWriter) flush() error {
	w.frames++
	sealFrame(w.b, nil, w.frames, 0)
	_, err := w.f.Write(w.b)
	w.size += int64(len(w.b))
	w.b = w.b[:0]
	return err
}
