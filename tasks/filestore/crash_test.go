package filestore_test

import "os"

const childDir = "FILESTORE_CHILD"

func child(string) { os.Exit(1) }
