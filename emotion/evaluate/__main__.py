from emotion.evaluate import main

main()
