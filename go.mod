module github.com/trtdet/trtdet

go 1.26.0
