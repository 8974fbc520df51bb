// argv: URL of the server, number of lines. Copied to main.go of a scratch module.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/grafana/loki-client-go/loki"
	"github.com/prometheus/common/model"
)

func main() {
	count, _ := strconv.Atoi(os.Args[2])
	client, err := loki.NewWithDefault(os.Args[1] + "/loki/api/v1/push")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	labels := model.LabelSet{"application": "loki-client-go"}
	for i := 0; i < count; i++ {
		if err := client.Handle(labels, time.Now(), fmt.Sprintf("line %d \"quoted\" ü", i)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	client.Stop()
}
