import { PASSWORD_ADVICE } from '../users/password-faults.ts'

/** What people should know to keep their account. docs/guidance.md is made from it: `npm run guidance`. */
export const guidance = [
  {
    id: 'password',
    title: 'A good password',
    advice: [
      PASSWORD_ADVICE,
      'Use it for the library alone. A password that you also use elsewhere is as safe as the worst of those places.',
      'Refused are passwords on the list of common ones, repetitions, runs like abcdef or qwerty, your own name or address, and, where the library asks about that, passwords known from stolen data. It says which of these it is.',
      'Change it when somebody else may know it. There is no need to change it every few months.',
    ],
  },
  {
    id: 'password-managers',
    title: 'Password managers',
    advice: [
      'A password manager makes a different password for each place and remembers them for you. Nothing here keeps you from pasting a password.',
      'It fills in your password only at the address where you saved it. When it offers nothing, look at the address before you type anything.',
    ],
  },
  {
    id: 'phishing',
    title: 'Messages and pages that pretend',
    advice: [
      'Type the address of the library yourself, or use your own bookmark, rather than follow a link in a message.',
      'A message that hurries you, threatens you or promises something is a reason to wait and to ask at the library by another way.',
      'Whoever asks for your password, for a code or for the text of a token is not the library, however much they know about you.',
    ],
  },
  {
    id: 'shared-computers',
    title: 'Shared computers and kiosks',
    advice: [
      'Log out when you leave. Closing the window is not enough.',
      'Do not let the browser remember your password there.',
      'If you forgot to log out, end that session from your own device: the list of your sessions shows where you are logged in.',
    ],
  },
  {
    id: 'second-factor',
    title: 'A second factor',
    advice: [
      'Turn on the second factor if you can: a stolen password is then not enough to log in.',
      'Keep the recovery codes on paper or in your password manager, and not only on the phone that makes the codes.',
      'A code is for the login page alone. Nobody who calls or writes needs one.',
    ],
  },
  {
    id: 'app-passwords',
    title: 'App passwords',
    advice: [
      'Give a reading app that asks for username and password an app password instead of your own, one for each app.',
      'When you lose a device or give up an app, take back its app password. Everything else stays as it is.',
    ],
  },
  {
    id: 'never-asked',
    title: 'What the library never asks',
    advice: [
      'It never asks for your password in a message, by telephone or at the desk. Staff cannot see it: only a hash of it is kept.',
      'It never asks for a code of your second factor, for a recovery code or for a token anywhere but where you log in.',
      'It never asks you to send your password to change it, to keep your account or to pay a fee.',
    ],
  },
  {
    id: 'stolen-account',
    title: 'When somebody else is in your account',
    advice: [
      'Change your password at once. That ends every session but the one that you change it from.',
      'Look through your sessions and end those that you do not know: whoever uses one is refused at their next request. Take back the app passwords that you do not know, too.',
      'Read your security events, and look whether your email address and your second factor are still yours.',
      'If you cannot log in, ask at the library to suspend the account: that ends all its sessions. Then change the password wherever else you used it, your email account first.',
    ],
  },
  {
    id: 'reporting',
    title: 'How to report',
    advice: [
      'Something about your own account: tell the library, at the desk or by a way that you know.',
      'A weakness in the software or the service: write to the contact in /.well-known/security.txt. Say what you did and what happened, and leave the data of others alone.',
      'Every error shows an id (instance, and the header X-Request-Id). Send it along: it finds the entry in the log, and says nothing about you.',
    ],
  },
]
