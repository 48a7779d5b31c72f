module sekimori

go 1.26
