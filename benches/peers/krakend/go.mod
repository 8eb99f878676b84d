module krakend-peer

go 1.25.0

require (
	github.com/krakend/krakend-amqp/v2 v2.3.0
	github.com/luraproject/lura/v2 v2.14.1
)

require (
	github.com/krakend/flatmap v1.2.0 // indirect
	github.com/krakend/krakend-ratelimit/v3 v3.3.0 // indirect
	github.com/rabbitmq/amqp091-go v1.10.0 // indirect
	github.com/valyala/fastrand v1.1.0 // indirect
	golang.org/x/net v0.51.0 // indirect
	golang.org/x/sync v0.19.0 // indirect
	golang.org/x/text v0.34.0 // indirect
)
