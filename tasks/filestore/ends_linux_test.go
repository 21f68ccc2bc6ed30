package filestore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/filestore"
)

// text is a JSON string of about so many bytes.
func text(size int) []byte {
	return append(append([]byte{'"'}, bytes.Repeat([]byte{'r'}, size)...), '"')
}

// sized is a task with a payload of so many bytes.
func sized(id string, payload int) *tasks.Task {
	task := newTask(id)
	task.Payload = text(payload)
	return task
}

// endOne claims a task and ends it with a result of so many bytes; it returns none when there is
// none.
func endOne(t *testing.T, s *filestore.Store, size int) (id string, err error) {
	t.Helper()
	got, _, err := claim(t.Context(), s, claimOne())
	if err != nil || len(got) == 0 {
		return "", err
	}
	return got[0].ID, end(t, s, got[0].ID, size)
}

func end(t *testing.T, s *filestore.Store, id string, size int) error {
	t.Helper()
	_, err := s.Update(t.Context(), id, noon, func(t *tasks.Task) error {
		err := finish(t)
		t.Result = text(size)
		return err
	})
	return err
}

// endAll ends all tasks that can be claimed.
func endAll(t *testing.T, s *filestore.Store, size int) (ids []string) {
	t.Helper()
	for {
		id, err := endOne(t, s, size)
		if err != nil {
			t.Fatalf("after %d that have ended: %v", len(ids), err)
		}
		if id == "" {
			return ids
		}
		ids = append(ids, id)
	}
}

func deleteAll(t *testing.T, s *filestore.Store, ids []string) {
	t.Helper()
	for i, id := range ids {
		task, err := s.Get(t.Context(), id)
		if err == nil {
			err = s.Delete(t.Context(), id, task.Revision, noon)
		}
		if err != nil {
			t.Fatalf("of %d tasks the %dth: %v", len(ids), i, err)
		}
	}
}

// fillSized adds tasks until the store is full, or has most of them; when it is full before the
// first it tries again, as room is being made.
func fillSized(t *testing.T, s *filestore.Store, name string, payload, most int) (taken int) {
	t.Helper()
	for taken < most {
		_, err := s.Add(t.Context(), sized(fmt.Sprint(name, taken), payload), noon, 0)
		switch {
		case err == nil:
			taken++
		case !errors.Is(err, tasks.ErrStoreFull):
			t.Fatal(err)
		case taken > 0:
			return taken
		default:
			<-time.After(5 * time.Millisecond)
		}
	}
	return taken
}

// TestStore_WhatADiskTookCanEnd fills disks with tasks whose results are far larger than they, or
// far smaller: all of them end and can be deleted, and so do those that are taken then, when the
// store knows what to expect, also in another store.
func TestStore_WhatADiskTookCanEnd(t *testing.T) {
	for _, c := range []struct {
		payload, result int
		o               filestore.Options
	}{
		{payload: 10_000, result: 10},
		{payload: 20_000, result: 100_000},
		{payload: 20, result: 120_000},
		{payload: 1000, result: 500_000, o: filestore.Options{Reserve: 500_000}},
		{payload: 2000, result: 100_000, o: filestore.Options{SegmentSize: 1 << 20}},
		{payload: 10_000, result: 50_000, o: filestore.Options{MaxSize: 128 << 20}},
		{payload: 10_000, result: 50_000, o: filestore.Options{
			SegmentSize: 1 << 20, MaxSize: 12 << 20,
		}},
	} {
		t.Run(fmt.Sprintf("%d to %d, %+v", c.payload, c.result, c.o), func(t *testing.T) {
			dir := smallDisk(t, "40m") + "/s"
			s := open(t, dir, &c.o)
			for round := range 4 {
				taken := fillSized(t, s, fmt.Sprint(round, "-"), c.payload, 1000)
				ids := endAll(t, s, c.result)
				if len(ids) != taken {
					t.Fatalf("round %d: %d of %d have ended", round, len(ids), taken)
				}
				if round%2 == 0 {
					if err := s.Stop(context.Background()); err != nil {
						t.Fatal(err)
					}
					s = open(t, dir, &c.o)
				}
				deleteAll(t, s, ids)
			}
			if err := s.Stop(context.Background()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// ballast takes what is free on a disk, as another program does.
func ballast(t *testing.T, dir string) (remove func()) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	for piece := make([]byte, 4096); err == nil; {
		_, err = f.Write(piece)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(f.Name()); err != nil {
			t.Error(err)
		}
	}
}

// counted are a store's tasks, and how many have succeeded.
func counted(t *testing.T, s *filestore.Store) (all, ended int) {
	t.Helper()
	counts, err := s.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range counts["q"] {
		all += n
	}
	return all, counts["q"][tasks.Succeeded]
}

// crowd is a store with tasks, one of them running, on a disk that another program has filled: it
// has ended as many as there was room for.
func crowd(t *testing.T) (s *filestore.Store, dir, running string, taken int, remove func()) {
	t.Helper()
	disk := smallDisk(t, "16m")
	dir = disk + "/s"
	s = open(t, dir, nil)
	taken = fillSized(t, s, "before", 2000, 20)
	long, _, err := claim(t.Context(), s, claimOne())
	if err != nil || len(long) != 1 {
		t.Fatal(len(long), err)
	}
	remove = ballast(t, disk)
	taken += fill(t, s, 0)
	for err == nil { // results that do not fit into what is left
		var id string
		if id, err = endOne(t, s, 100_000); id == "" && err == nil {
			t.Fatal("all have ended on a disk without room")
		}
	}
	if !errors.Is(err, tasks.ErrStoreFull) {
		t.Fatal(err)
	}
	return s, dir, long[0].ID, taken, remove
}

// endRest ends what is there, with what was running when there was no room.
func endRest(t *testing.T, s *filestore.Store, taken int) {
	t.Helper()
	for ; ; <-time.After(5 * time.Millisecond) { // it looks every now and then
		id, err := endOne(t, s, 100)
		if err != nil && !errors.Is(err, tasks.ErrStoreFull) {
			t.Fatal(err)
		}
		if id == "" && err == nil {
			break
		}
	}
	f := tasks.Filter{States: []tasks.State{tasks.Running}}
	page, _, err := s.List(t.Context(), &f)
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range page {
		if err := end(t, s, task.ID, 100); err != nil {
			t.Fatal(err)
		}
	}
	if all, ended := counted(t, s); all != taken || ended != taken {
		t.Errorf("%d tasks, %d have ended; %d were taken", all, ended, taken)
	}
}

// TestStore_LeasesGoOnWithoutRoom renews a lease, and says progress, more often than there is room
// for on a disk that another program has filled. When it has gone, all ends, and the log has the
// last of it.
func TestStore_LeasesGoOnWithoutRoom(t *testing.T) {
	s, dir, running, taken, remove := crowd(t)
	const beats = 50_000
	for n := range beats {
		_, err := s.Update(t.Context(), running, noon, func(t *tasks.Task) error {
			t.LeaseUntil = noon.Add(time.Duration(n) * time.Second)
			t.Progress = &tasks.Progress{Done: float64(n), At: noon}
			return nil
		})
		if err != nil {
			t.Fatalf("the %dth heartbeat: %v", n, err)
		}
	}
	remove()
	endRest(t, s, taken)
	addAgain(t, s, "with room again")
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, nil)
	task, err := s.Get(t.Context(), running)
	if err != nil || task.Progress == nil || task.Progress.Done != beats-1 {
		t.Errorf("%+v, %v, want the last progress", task, err)
	}
	if all, ended := counted(t, s); all != taken+1 || ended != taken {
		t.Errorf("%d tasks, %d have ended; %d were taken", all, ended, taken+1)
	}
}

// TestOpen_OnADiskWithoutRoom opens a store again and again while another program has the disk.
func TestOpen_OnADiskWithoutRoom(t *testing.T) {
	s, dir, _, taken, remove := crowd(t)
	_, ended := counted(t, s)
	for i := range 200 {
		if err := s.Stop(context.Background()); err != nil {
			t.Fatalf("the %dth time: %v", i, err)
		}
		s = open(t, dir, nil)
		if all, is := counted(t, s); all != taken || is != ended {
			t.Fatalf("the %dth time: %d tasks, %d have ended, want %d and %d", i, all, is, taken,
				ended)
		}
	}
	remove()
	endRest(t, s, taken)
	addAgain(t, s, "with room again")
}

// TestStore_TaskLargerThanTheSegmentsOfASmallDisk: SegmentSize is what a task may have, however
// small the segments are that are made.
func TestStore_TaskLargerThanTheSegmentsOfASmallDisk(t *testing.T) {
	dir := smallDisk(t, "48m") + "/s"
	s := open(t, dir, nil)
	if _, err := s.Add(t.Context(), sized("large", 2<<20), noon, 0); err != nil {
		t.Fatal(err)
	}
	endAll(t, s, 3<<20)
	for i := range 50 { // and go on in small ones, one after another: their ends may be as large
		if _, err := s.Add(t.Context(), sized(strconv.Itoa(i), 2000), noon, 0); err != nil {
			t.Fatal(err)
		}
		endAll(t, s, 2000)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, nil)
	got, err := s.Get(t.Context(), "large")
	if err != nil || len(got.Payload) < 2<<20 || len(got.Result) < 3<<20 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestStore_BackupTakesNoRoomOfTheStore makes backups on the store's own disk until one is refused:
// the store's tasks end all the same.
func TestStore_BackupTakesNoRoomOfTheStore(t *testing.T) {
	disk := smallDisk(t, "24m")
	s := open(t, disk+"/s", nil)
	const n = 20
	fillSized(t, s, "t", 2000, n)
	for i := 0; ; i++ {
		err := s.Backup(t.Context(), fmt.Sprintf("%s/b%d", disk, i))
		if errors.Is(err, tasks.ErrStoreFull) && i > 0 {
			break
		}
		if err != nil || i > 10_000 {
			t.Fatalf("backup %d: %v", i, err)
		}
	}
	if ids := endAll(t, s, 100_000); len(ids) != n {
		t.Errorf("%d of %d have ended", len(ids), n)
	}
}
