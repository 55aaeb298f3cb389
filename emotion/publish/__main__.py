from emotion.publish import main

main()
