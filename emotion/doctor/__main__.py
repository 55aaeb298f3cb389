from emotion.doctor import main

main()
