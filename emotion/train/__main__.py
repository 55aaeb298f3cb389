from emotion.train import main

main()
