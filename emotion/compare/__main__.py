from emotion.compare import main

main()
