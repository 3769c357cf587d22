package cdn

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"image"
	"image/color"
	"image/png"
	"strings"
)

// file is how files of a kind are made.
type file struct {
	extension string
	// claimed is what the server says it is.
	claimed string
	make    func(name string) []byte
}

func fileOf(kind string) file {
	switch kind {
	case "audio":
		return file{".mp4", "video/mp4", func(string) []byte { return silence() }} // Meta serves voice notes so, whatever they are
	case "video", "ig_reel":
		return file{".mp4", "video/mp4", func(string) []byte { return emptyVideo() }}
	case "file":
		return file{".pdf", "application/pdf", document}
	case "link":
		return file{".html", "text/html; charset=utf-8", func(string) []byte { return []byte("<!doctype html><title>A page</title><p>A page.") }}
	default:
		return file{".png", "image/png", picture}
	}
}

// picture goes from one colour to another, which the name chooses.
func picture(name string) []byte {
	const width, height = 320, 240
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	seed := h.Sum32()
	channel := func(shift uint, along int) uint8 {
		from, to := int(seed>>shift&0x7F)+96, int(seed>>(shift+7)&0x7F)+96
		return uint8(from + (to-from)*along/(width+height)) //nolint:gosec // between the two, which fit
	}
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.SetRGBA(x, y, color.RGBA{R: channel(0, x+y), G: channel(6, x+y), B: channel(12, x+y), A: 255})
		}
	}
	var b bytes.Buffer
	_ = png.Encode(&b, img) // into memory it does not fail
	return b.Bytes()
}

// silence is a second of MP3 (MPEG-1 layer III, 128 kbit/s, 44.1 kHz) without a sound.
func silence() []byte {
	const frames, size = 38, 417
	out := make([]byte, 0, frames*size)
	for range frames {
		frame := make([]byte, size)
		copy(frame, []byte{0xFF, 0xFB, 0x90, 0xC4})
		out = append(out, frame...)
	}
	return out
}

// emptyVideo is the beginning of every MP4, and nothing after it.
func emptyVideo() []byte {
	return []byte("\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41\x00\x00\x00\x08mdat")
}

// document is a PDF of one line.
func document(name string) []byte {
	var b bytes.Buffer
	var at []int
	object := func(text string) {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", len(at), text)
	}
	line := "BT /F 18 Tf 20 60 Td (" + strings.NewReplacer("(", "", ")", "", `\`, "").Replace(name) + ") Tj ET"
	b.WriteString("%PDF-1.4\n")
	object("<< /Type /Catalog /Pages 2 0 R >>")
	object("<< /Type /Pages /Kids [3 0 R] /Count 1 >>")
	object("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 320 120] /Contents 4 0 R /Resources << /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>")
	object(fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(line), line))
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(at)+1)
	for _, offset := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", offset)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(at)+1, start)
	return b.Bytes()
}
