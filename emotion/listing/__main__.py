from emotion.listing import main

main()
