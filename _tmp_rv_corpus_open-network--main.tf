resource "aws_vpc_security_group_ingress_rule" "db" {
  cidr_ipv4 = "0.0.0.0/0"
}