from emotion.tune import main

main()
