from emotion.serve import main

main()
