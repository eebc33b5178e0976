// Checks the log of one month by the code of the Go checksum database, which nobody of this project wrote.
//
//	logcheck FOLDER VKEY-FILE [CHECKPOINT-FILE]
//
// It opens the checkpoint by the key (of this month's name), reads all entries from their bundles, and recomputes the
// root by tlog.TreeHash over tlog.StoredHashes; of an earlier checkpoint, too, if one is given. Exit status 0 or 1.
//
// To build it on Debian: apt-get install golang-go golang-golang-x-mod-dev, then
// GO111MODULE=off GOPATH=/usr/share/gocode go build logcheck.go
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if len(os.Args) < 3 {
		fail("usage: logcheck FOLDER VKEY-FILE [CHECKPOINT-FILE]")
	}
	folder, verifier := os.Args[1], key(os.Args[2])
	size, root := checkpoint(filepath.Join(folder, "checkpoint"), verifier)
	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			if index >= int64(len(hashes)) {
				return nil, fmt.Errorf("no hash %d", index)
			}
			found[i] = hashes[index]
		}
		return found, nil
	})
	for number := int64(0); number*256 < size; number++ {
		width := size - number*256
		if width > 256 {
			width = 256
		}
		for i, entry := range bundle(folder, number, width) {
			stored, err := tlog.StoredHashes(number*256+int64(i), entry, reader)
			check(err)
			hashes = append(hashes, stored...)
		}
	}
	compare(size, root, reader, "checkpoint")
	if len(os.Args) > 3 {
		earlier, known := checkpoint(os.Args[3], verifier)
		if earlier > size {
			fail(fmt.Sprintf("rolled back: %d entries are known, the log has %d", earlier, size))
		}
		compare(earlier, known, reader, os.Args[3])
	}
	fmt.Printf("ok %s %d %s\n", verifier.Name(), size, root)
}

func compare(size int64, root tlog.Hash, reader tlog.HashReader, name string) {
	computed, err := tlog.TreeHash(size, reader)
	check(err)
	if computed != root {
		fail(fmt.Sprintf("%s: the root of %d entries is %s, not %s", name, size, computed, root))
	}
}

func key(path string) note.Verifier {
	text, err := os.ReadFile(path)
	check(err)
	verifier, err := note.NewVerifier(strings.TrimSpace(string(text)))
	check(err)
	return verifier
}

func checkpoint(path string, verifier note.Verifier) (int64, tlog.Hash) {
	data, err := os.ReadFile(path)
	check(err)
	opened, err := note.Open(data, note.VerifierList(verifier))
	check(err)
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		fail("the checkpoint is of another log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	root, err := tlog.ParseHash(lines[2])
	check(err)
	return size, root
}

func bundle(folder string, number, width int64) [][]byte {
	path := fmt.Sprintf("%03d", number%1000)
	for rest := number / 1000; rest > 0; rest /= 1000 {
		path = fmt.Sprintf("x%03d/%s", rest%1000, path)
	}
	full := filepath.Join(folder, "tile", "entries", path)
	data, err := os.ReadFile(fmt.Sprintf("%s.p/%d", full, width))
	if width == 256 || err != nil {
		data, err = os.ReadFile(full)
	}
	check(err)
	var entries [][]byte
	for int64(len(entries)) < width {
		if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
			fail(fmt.Sprintf("bundle %d is cut short", number))
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		entries, data = append(entries, data[2:end]), data[end:]
	}
	return entries
}

func check(err error) {
	if err != nil {
		fail(err.Error())
	}
}

func fail(what string) {
	fmt.Fprintln(os.Stderr, what)
	os.Exit(1)
}
