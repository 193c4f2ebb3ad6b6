resource "aws_api_gateway_method" "a" {
  authorization = "NONE"
}