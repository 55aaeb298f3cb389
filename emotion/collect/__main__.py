from emotion.collect import main

main()
